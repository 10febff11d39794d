"""The real data sets, opened once for all tests."""

import numpy as np
import pytest

from research.data.arrays import examples
from research.data.base import Source
from research.data.splits import open_dataset
from research.data.tfds_images import TfdsImages
from tests.data.sources import FromSource
from tests.data.tfds_sets import read_idx


@pytest.fixture(scope="session")
def cifar10(tfds_directory):
    """CIFAR-10 as `open_dataset` gives it."""
    if not (tfds_directory / "cifar10").is_dir():
        pytest.skip(f"CIFAR-10 is not prepared in {tfds_directory}")
    return open_dataset(TfdsImages(name="cifar10", data_dir=str(tfds_directory)))


@pytest.fixture(scope="session")
def fashion_mnist(fashion_mnist_files):
    """Fashion-MNIST as `open_dataset` gives it, read from its original files."""

    def read(part):
        images, labels = read_idx(fashion_mnist_files, part)
        return examples(images[..., np.newaxis], labels.astype(np.int32))

    splits = {"train": lambda: read("train"), "test": lambda: read("t10k")}
    return open_dataset(FromSource(source=Source(tuple("0123456789"), splits)))
