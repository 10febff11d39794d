"""The work that all contenders do: model, data, batch and optimizer of each row."""

import dataclasses

import numpy as np

from launch.flags import DEFAULT_CONFIG, make_experiment
from research.data.splits import Dataset, Split, open_dataset
from research.experiment import Experiment

COMMON = (
    "--config.model.batch_norm=false",
    "--config.model.dropout_rate=0",
    "--config.optimizer.name=adam",
    "--config.optimizer.learning_rate=1e-3",
    "--config.optimizer.weight_decay=0",
    "--config.optimizer.schedule.name=constant",
    "--config.logging.every_steps=50",
    "--config.evaluation.every_epochs=1000000",  # evaluating is no part of the work
)


@dataclasses.dataclass(frozen=True)
class Work:
    """One row of the table.

    Attributes:
      title: says what it is.
      overrides: make the experiment of it.
    """

    title: str
    overrides: tuple[str, ...]

    def flags(self, *more: str) -> list[str]:
        """Returns the experiment as flags, with more overrides."""
        return [*COMMON, *self.overrides, *more]

    def experiment(self, *more: str) -> Experiment:
        """Returns the experiment, with more overrides."""
        return make_experiment(DEFAULT_CONFIG, self.flags(*more))

    def dataset(self) -> Dataset:
        """Returns its data."""
        return open_dataset(self.experiment().data)


WORKS = {
    "tiny": Work(
        "MLP 64-64-64-10, batch 64",
        ("--config.model.widths=(64,64)", "--config.global_batch_size=64"),
    ),
    "mlp": Work(
        "MLP 784-512-512-10, batch 128",
        (
            "--config.data.name=fashion_mnist",
            "--config.model.widths=(512,512)",
            "--config.global_batch_size=128",
        ),
    ),
    "cnn": Work(
        "CNN 32-64 3×3, dense 256, 28×28, batch 128",
        (
            "--config.data.name=fashion_mnist",
            "--config.model.name=cnn",
            "--config.model.stages=((32,),(64,))",
            "--config.model.widths=(256,)",
            "--config.global_batch_size=128",
        ),
    ),
}


def arrays(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Returns the examples of a split, uint8 [n, height, width, channels] and int32 [n]."""
    rows = split.gather(np.arange(len(split)))
    return rows["input"], rows["label"]
