"""Synthetic data sets that tests of data share."""

import io
import math
import pathlib

import numpy as np
from PIL import Image

from research.data.arrays import examples
from research.data.base import Data, Examples, Source, Table
from research.data.splits import Split
from research.records import record

CLASS_NAMES = ("cat", "dog", "emu")


@record
class FromSource(Data):
    """Data whose source the test has made."""

    name: str = "synthetic"
    source: Source

    def open(self):
        return self.source


@record
class TableFromSource(Table):
    """A table whose source the test has made."""

    name: str = "synthetic_table"
    source: Source

    def open(self):
        return self.source


def random_examples(labels, seed: int = 0, shape=(2, 3, 1)) -> Examples:
    """Examples with these labels; no two images are the same."""
    labels = np.asarray(labels, np.int32)
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), *shape), np.uint8)
    # The first bytes of an image count the images.
    flat = images.reshape(len(labels), math.prod(shape))
    flat[:, 0], flat[:, 1] = np.divmod(np.arange(len(labels)), 256)
    return examples(images, labels)


def from_splits(class_names=CLASS_NAMES, /, **splits) -> Source:
    """A source with the examples given for each split."""
    return Source(class_names, {name: lambda given=given: given for name, given in splits.items()})


def contents(split: Split) -> set[bytes]:
    """The different images of a split."""
    return {split.examples.inputs[index].tobytes() for index in split.indices}


def encoded(pixels, file_format: str = "png") -> bytes:
    """An image file, from uint8 [height, width] or [height, width, 3]."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(file, file_format)
    return file.getvalue()


def write_image(path: pathlib.Path, pixels) -> None:
    """Writes an image file in the format that its suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
