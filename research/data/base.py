"""What every data set has in common: its options and what it hands over."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from research.records import Record, record, require, require_known

if TYPE_CHECKING:
    import numpy as np

BALANCES = ("none", "sampling", "weights", "smote")


@dataclasses.dataclass(frozen=True)
class Examples:
    """Labelled inputs as they are stored, in memory or memory-mapped.

    Attributes:
      inputs: images, uint8 [examples, height, width, channels], or the rows of a
        table, float32 [examples, columns].
      labels: classes, int32 [examples], or numbers to be predicted, float32.
      fingerprint: hexadecimal digest of inputs and labels.
    """

    inputs: "np.ndarray"
    labels: "np.ndarray"
    fingerprint: str


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set as its publisher divided it.

    Attributes:
      class_names: names of the classes; labels are positions in it. () where they
        are numbers to be predicted.
      splits: "train", and where the publisher made them "validation" and
        "test", each read only when called.
      input_shape: (height, width, channels) of images, (columns,) of tables;
        None if only reading tells.
      input_dtype: theirs, where `input_shape` is known.
      sizes: how many examples each split holds, where `input_shape` is known.
      categories: columns of tables that hold one category each, one-hot.
    """

    class_names: tuple[str, ...]
    splits: Mapping[str, Callable[[], Examples]]
    input_shape: tuple[int, ...] | None = None
    input_dtype: str = "uint8"
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    categories: Sequence[range] = ()


@record
class Data(Record):
    """Options of a data set; a subclass adds its own and defines `open`."""

    name: str

    white = 255  # the largest value of a pixel, which augmentation goes by
    regression = False  # whether labels are numbers to be predicted

    validation_fraction: float = 0.1
    """Share of train that becomes validation where the data has no such split."""

    test_fraction: float = 0.2
    """Share of train that becomes test where the data has no such split."""

    split_seed: int = 0
    """Decides which examples those are; independent of the experiment's seed."""

    classes: tuple[str, ...] = ()
    """The classes to tell apart, in this order; examples of others are left out
    everywhere. (): all."""

    train_fraction: float = 1.0
    """Share of the examples of each class that is trained on, where the split for
    training has all of them."""

    class_fractions: tuple[tuple[str, float], ...] = ()
    """(Class, share of its examples) for classes with another such share."""

    balance: str = "none"
    """What makes up in training for classes of different sizes: "sampling" draws
    every class equally often; "weights" multiplies the losses of each class's
    examples by n / (classes · n of the class); "smote" adds made-up rows of a table."""

    def open(self) -> Source:
        """Returns the data set; reads no more of it than it must.

        Raises:
          UserError: if the data is not there or not what it should be.
        """
        raise TypeError(f"{type(self).__name__} defines no way to open it")

    def validate(self, path):
        for field in ("validation_fraction", "test_fraction"):
            value = getattr(self, field)
            require(0 < value < 1, f"{path}.{field}", f"must lie in (0, 1), not {value}")
        require(
            self.validation_fraction + self.test_fraction < 1,
            f"{path}.validation_fraction",
            "leaves nothing to train on, together with test_fraction",
        )
        shares = {"train_fraction": self.train_fraction} | {
            f"class_fractions[{index}]": share
            for index, (_, share) in enumerate(self.class_fractions)
        }
        for field, share in shares.items():
            require(0 < share <= 1, f"{path}.{field}", f"must lie in (0, 1], not {share}")
        _check_classes(self.classes, f"{path}.classes")
        _check_classes([name for name, _ in self.class_fractions], f"{path}.class_fractions")
        require(
            len(self.classes) != 1,
            f"{path}.classes",
            "one class alone leaves nothing to tell apart",
        )
        require(self.split_seed >= 0, f"{path}.split_seed", "must not be negative")
        require_known(self.balance, BALANCES, f"{path}.balance")
        require(
            self.balance != "smote" or isinstance(self, Table),
            f"{path}.balance",
            f"smote makes rows of tables; between the images of {self.name!r} lies no image. "
            "Use 'sampling' or 'weights'",
        )


@record
class Table(Data):
    """Options of a data set whose examples are the rows of a table."""

    smote_neighbors: int = 5
    """Nearest rows of the same class that SMOTE goes towards; `balance` turns it on."""

    def validate(self, path):
        super().validate(path)
        require(self.smote_neighbors >= 1, f"{path}.smote_neighbors", "must be at least 1")
        require(self.split_seed < 2**32, f"{path}.split_seed", "must be below 2**32")


def _check_classes(names: Sequence[str], path: str) -> None:
    repeated = [name for index, name in enumerate(names) if name in names[:index]]
    require(not repeated, path, f"gives {repeated[:1]} twice")


def check_image_size(size: tuple[int, ...], path: str) -> None:
    """Raises `UserError` unless size is () or (height, width)."""
    require(
        size == () or (len(size) == 2 and min(size) >= 1),
        path,
        f"takes (height, width), or () for the images' own size, not {size}",
    )
