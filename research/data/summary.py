"""What a data set is like, from its metadata: no example is read if that can be helped."""

import dataclasses

import numpy as np

from research.data.base import Data, Examples
from research.data.splits import Dataset, Split, open_dataset, open_source


@dataclasses.dataclass(frozen=True)
class Summary:
    """Shapes and sizes of a data set.

    Attributes:
      image_shape: (height, width, channels).
      num_classes: how many classes there are.
      train, validation, test: examples of each split.
    """

    image_shape: tuple[int, int, int]
    num_classes: int
    train: int
    validation: int
    test: int


def summarize(data: Data) -> Summary:
    """Returns what a data set is like.

    Where splits are cut from train, their sizes are right to within one example
    of each class.

    Raises:
      UserError: if the data is not there.
    """
    source = open_source(data)
    if source.image_shape is None:
        dataset = open_dataset(data)
        return Summary(
            image_shape=tuple(dataset.image_shape),
            num_classes=len(dataset.class_names),
            train=len(dataset.train),
            validation=len(dataset.validation),
            test=len(dataset.read_test()),
        )
    sizes = dict(source.sizes)
    whole = sizes["train"]
    for name, fraction in (
        ("test", data.test_fraction),
        ("validation", data.validation_fraction),
    ):
        if name not in sizes:
            sizes[name] = round(fraction * whole)
            sizes["train"] -= sizes[name]
    return Summary(source.image_shape, len(source.class_names), **sizes)


def stand_in(summary: Summary) -> Dataset:
    """Returns a data set of black images, all of which share one byte of memory.

    It has the shapes that programs are built from, and nothing else.
    """

    def split(size: int) -> Split:
        images = np.broadcast_to(np.uint8(0), (size, *summary.image_shape))
        labels = np.broadcast_to(np.int32(0), (size,))
        return Split(Examples(images, labels, fingerprint=""), np.arange(size))

    channels = summary.image_shape[-1]
    return Dataset(
        name="stand-in",
        class_names=tuple(map(str, range(summary.num_classes))),
        train=split(summary.train),
        validation=split(summary.validation),
        read_test=lambda: split(summary.test),
        mean=np.zeros(channels, np.float32),
        std=np.ones(channels, np.float32),
        fingerprint="",
    )
