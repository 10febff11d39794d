"""A small multi-layer perceptron on scikit-learn's handwritten digits.

    python -m launch.train --config=configs/digits_mlp.py --workdir=runs/digits_mlp

Expect a test accuracy of 0.989 ± 0.003 (5 seeds) after a few seconds on two
cores of a CPU.
"""

from research.experiment import Evaluation, Experiment, Logging
from research.models.mlp import Mlp
from research.optimizers.adam import Adam
from research.optimizers.schedules import WarmupCosine


def get_config() -> Experiment:
    return Experiment(
        name="digits_mlp",
        epochs=40,
        global_batch_size=64,
        model=Mlp(widths=(256, 128), batch_norm=True, dropout_rate=0.3),
        optimizer=Adam(learning_rate=3e-3, schedule=WarmupCosine()),
        logging=Logging(every_steps=100),
        evaluation=Evaluation(every_epochs=5),
    )
