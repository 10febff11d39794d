"""A convolutional network on Fashion-MNIST (Xiao, Rasul & Vollgraf 2017).

    python -m launch.prepare_data --dataset=fashion_mnist
    python -m launch.train --config=configs/fashion_mnist_cnn.py --workdir=runs/fashion_mnist_cnn

Expect a test accuracy of 0.9294 ± 0.0015 (3 seeds) after 6 minutes on two
cores of a CPU.
"""

from research.data import TfdsImages
from research.experiment import Experiment, Logging
from research.models.cnn import Cnn
from research.optimizers.adam import AdamW
from research.optimizers.schedules import OneCycle


def get_config() -> Experiment:
    return Experiment(
        name="fashion_mnist_cnn",
        epochs=10,
        global_batch_size=128,
        data=TfdsImages(name="fashion_mnist"),
        model=Cnn(stages=((32,), (64,)), widths=(256,), dropout_rate=0.5, stage_dropout_rate=0.1),
        optimizer=AdamW(learning_rate=3e-3, weight_decay=0.05, schedule=OneCycle()),
        logging=Logging(every_steps=100),
    )
