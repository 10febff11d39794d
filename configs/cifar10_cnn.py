"""A convolutional network on CIFAR-10 (Krizhevsky 2009).

    python -m launch.prepare_data --dataset=cifar10
    python -m launch.train --config=configs/cifar10_cnn.py --workdir=runs/cifar10_cnn

Made for a GPU or a TPU; on a laptop's CPU it runs, but takes hours.
"""

from research.data import TfdsImages
from research.experiment import Experiment, Logging
from research.models.cnn import Cnn
from research.optimizers.adam import AdamW
from research.optimizers.schedules import OneCycle


def get_config() -> Experiment:
    return Experiment(
        name="cifar10_cnn",
        epochs=30,
        global_batch_size=128,
        data=TfdsImages(name="cifar10"),
        model=Cnn(
            stages=((64, 64), (128, 128), (256, 256)),
            head="global_average",
            widths=(256,),
            dropout_rate=0.4,
            stage_dropout_rate=0.2,
        ),
        optimizer=AdamW(learning_rate=3e-3, weight_decay=0.05, schedule=OneCycle()),
        logging=Logging(every_steps=100),
    )
