"""What a data set is like, from its metadata: no example is read if that can be helped."""

import dataclasses

import numpy as np

from research.data.base import Data, Examples
from research.data.splits import Dataset, Split, open_dataset, open_source


@dataclasses.dataclass(frozen=True)
class Summary:
    """Shapes and sizes of a data set.

    Attributes:
      input_shape: (height, width, channels) of images, (columns,) of tables.
      num_classes: how many classes there are; 0 where numbers are to be predicted.
      train, validation, test: examples of each split.
      input_dtype: that of the inputs.
    """

    input_shape: tuple[int, ...]
    num_classes: int
    train: int
    validation: int
    test: int
    input_dtype: str = "uint8"


def summarize(data: Data) -> Summary:
    """Returns what a data set is like.

    Where splits are cut from train, their sizes are right to within one example
    of each class.

    Raises:
      UserError: if the data is not there.
    """
    source = open_source(data)
    if source.input_shape is None or data.classes or data.class_fractions:
        dataset = open_dataset(data)
        return Summary(
            input_shape=tuple(dataset.input_shape),
            num_classes=len(dataset.class_names),
            train=len(dataset.train),
            validation=len(dataset.validation),
            test=len(dataset.read_test()),
            input_dtype=dataset.train.examples.inputs.dtype.name,
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
    sizes["train"] = round(data.train_fraction * sizes["train"])
    return Summary(
        source.input_shape, len(source.class_names), **sizes, input_dtype=source.input_dtype
    )


def stand_in(summary: Summary) -> Dataset:
    """Returns a data set of zeros, all of which share one number in memory.

    It has the shapes that programs are built from, and nothing else.
    """

    label_dtype = np.int32 if summary.num_classes else np.float32

    def split(size: int) -> Split:
        zero = np.zeros((), summary.input_dtype)
        inputs = np.broadcast_to(zero, (size, *summary.input_shape))
        labels = np.broadcast_to(np.zeros((), label_dtype), (size,))
        return Split(Examples(inputs, labels, fingerprint=""), np.arange(size))

    features = summary.input_shape[-1]
    return Dataset(
        name="stand-in",
        class_names=tuple(map(str, range(summary.num_classes))),
        train=split(summary.train),
        validation=split(summary.validation),
        read_test=lambda: split(summary.test),
        mean=np.zeros(features, np.float32),
        std=np.ones(features, np.float32),
        fingerprint="",
        target=None if summary.num_classes else (np.float32(0), np.float32(1)),
    )
