"""A tiny classification problem that tests share: 4×4 images of three classes."""

import jax
import numpy as np

from research.data.arrays import examples
from research.data.splits import Dataset, Split
from research.experiment import Experiment, timetable
from research.models.mlp import Mlp
from research.optimizers.sgd import Sgd
from research.records import check, freeze
from research.state import Normalization
from research.steps import Steps, make_steps

IMAGE_SHAPE = (4, 4, 1)
NUM_CLASSES = 3
NUM_TRAIN = 48
MEAN, STD = 120.0, 64.0


def split(count: int, seed: int = 0) -> Split:
    """Random images, made brighter from class to class."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int32) % NUM_CLASSES
    images = generator.integers(0, 100, (count, *IMAGE_SHAPE), np.uint8)
    images += (70 * labels).astype(np.uint8)[:, None, None, None]
    return Split(examples(images, labels), np.arange(count))


def batch(size: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A training batch; equal seeds give equal batches."""
    return split(size, seed).gather(np.arange(size))


def masked(examples_of_batch: dict[str, np.ndarray], mask=None) -> dict[str, np.ndarray]:
    """An evaluation batch; without a mask every example counts."""
    size = len(examples_of_batch["label"])
    mask = np.ones(size, bool) if mask is None else np.asarray(mask)
    return {**examples_of_batch, "mask": mask}


def dataset() -> Dataset:
    """The problem as an experiment's data set."""
    return Dataset(
        name="tiny",
        class_names=("dark", "grey", "bright"),
        train=split(NUM_TRAIN, 0),
        validation=split(17, 1),
        read_test=lambda: split(19, 2),
        mean=np.array([MEAN], np.float32),
        std=np.array([STD], np.float32),
        fingerprint="tiny",
    )


def normalization() -> Normalization:
    """The statistics of `dataset`."""
    data = dataset()
    return Normalization(mean=data.mean, std=data.std)


def experiment(**fields) -> Experiment:
    """A small MLP trained by plain SGD for 12 steps, unless `fields` say otherwise."""
    defaults = {
        "name": "tiny",
        "steps": 12,
        "global_batch_size": 12,
        "model": Mlp(widths=(8,)),
        "optimizer": Sgd(learning_rate=0.1),
    }
    result = Experiment(**{**defaults, **fields})
    check(result)
    freeze(result)
    return result


def pure_steps(chosen: Experiment, num_classes: int = NUM_CLASSES, **options) -> Steps:
    """The functions of an experiment on `dataset`; for options see `make_steps`."""
    plan = timetable(chosen, NUM_TRAIN)
    return make_steps(chosen, plan, IMAGE_SHAPE, num_classes, normalization(), **options)


def steps(chosen: Experiment, num_classes: int = NUM_CLASSES, **options) -> Steps:
    """The same, compiled; nothing is donated."""
    return Steps(*map(jax.jit, pure_steps(chosen, num_classes, **options)))
