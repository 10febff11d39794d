"""Where the real data sets are, and CIFAR-10 decoded once for all tests."""

import gzip
import os
import pathlib

import numpy as np
import pytest

from research.data.arrays import examples
from research.data.base import Source
from research.data.splits import open_dataset
from research.data.tfds_images import TfdsImages
from tests.data.sources import FromSource

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def tfds_directory():
    """Returns $TFDS_DATA_DIR, else the folder shared/tfds beside the checkout."""
    beside = CHECKOUT.parent / "shared" / "tfds"
    directory = pathlib.Path(os.environ.get("TFDS_DATA_DIR") or beside).expanduser()
    if not directory.is_dir():
        pytest.skip(f"real data sets: no folder {directory}; set TFDS_DATA_DIR to where they are")
    return directory


@pytest.fixture(scope="session")
def cifar10(tfds_directory):
    """CIFAR-10 as `open_dataset` gives it."""
    if not (tfds_directory / "cifar10").is_dir():
        pytest.skip(f"CIFAR-10 is not prepared in {tfds_directory}")
    return open_dataset(TfdsImages(name="cifar10", data_dir=str(tfds_directory)))


@pytest.fixture(scope="session")
def fashion_mnist_files(tfds_directory):
    """The folder with the four files that the publisher of Fashion-MNIST gives."""
    downloads = tfds_directory / "downloads"
    if len(list(downloads.glob("fashion-mnist_*.gz"))) != 4:
        pytest.skip(f"the original files of Fashion-MNIST are not in {downloads}")
    return downloads


@pytest.fixture(scope="session")
def fashion_mnist(fashion_mnist_files):
    """Fashion-MNIST as `open_dataset` gives it, read from its original files."""

    def read(part):
        images = _idx(fashion_mnist_files, f"{part}-images", header=16).reshape(-1, 28, 28, 1)
        return examples(images, _idx(fashion_mnist_files, f"{part}-labels", 8).astype(np.int32))

    splits = {"train": lambda: read("train"), "test": lambda: read("t10k")}
    return open_dataset(FromSource(source=Source(tuple("0123456789"), splits)))


def _idx(folder, part, header):
    (path,) = folder.glob(f"fashion-mnist_{part}*.gz")
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)
