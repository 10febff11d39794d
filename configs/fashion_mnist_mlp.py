"""A multi-layer perceptron on Fashion-MNIST (Xiao, Rasul & Vollgraf 2017).

    python -m launch.prepare_data --dataset=fashion_mnist
    python -m launch.train --config=configs/fashion_mnist_mlp.py --workdir=runs/fashion_mnist_mlp

Expect a test accuracy of 0.9035 ± 0.0013 (3 seeds) after 20 seconds on two
cores of a CPU.
"""

from research.data import TfdsImages
from research.experiment import Experiment, Logging
from research.models.mlp import Mlp
from research.optimizers.adam import AdamW
from research.optimizers.schedules import OneCycle


def get_config() -> Experiment:
    return Experiment(
        name="fashion_mnist_mlp",
        epochs=15,
        global_batch_size=128,
        data=TfdsImages(name="fashion_mnist"),
        model=Mlp(widths=(512, 256), batch_norm=True, dropout_rate=0.3),
        optimizer=AdamW(learning_rate=3e-3, weight_decay=0.05, schedule=OneCycle()),
        logging=Logging(every_steps=100),
    )
