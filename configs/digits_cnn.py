"""A small convolutional network on scikit-learn's handwritten digits.

    python -m launch.train --config=configs/digits_cnn.py --workdir=runs/digits_cnn

Expect a test accuracy of 0.991 ± 0.002 (5 seeds) after 10 seconds on two cores
of a CPU.
"""

from research.experiment import Evaluation, Experiment, Logging
from research.models.cnn import Cnn
from research.optimizers.adam import Adam
from research.optimizers.schedules import WarmupCosine


def get_config() -> Experiment:
    return Experiment(
        name="digits_cnn",
        epochs=30,
        global_batch_size=64,
        model=Cnn(stages=((32,), (64,)), widths=(64,), dropout_rate=0.5, stage_dropout_rate=0.2),
        optimizer=Adam(learning_rate=3e-3, schedule=WarmupCosine()),
        logging=Logging(every_steps=50),
        evaluation=Evaluation(every_epochs=5),
    )
