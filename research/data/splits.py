"""Three splits always: train, validation and test, disjoint and stratified."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from research.data import DATASETS
from research.data.base import Data, Examples, Source
from research.data.draws import shuffled
from research.data.order import Members, balanced_positions, batch_positions
from research.data.patches import patch_covariance
from research.data.selection import LEFT_OUT, class_names, relabelled, thinned
from research.data.tfds_images import UnknownDataSet
from research.errors import UserError, listing, suggestion


@dataclasses.dataclass(frozen=True)
class Split:
    """Part of some examples.

    Attributes:
      examples: where the inputs and labels are stored.
      indices: int64 [n], which of them belong to the split.
      balanced: whether training draws from every class equally often.
    """

    examples: Examples
    indices: np.ndarray
    balanced: bool = False

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def labels(self) -> np.ndarray:
        """int32 [n], of numbers to be predicted float32."""
        return self.examples.labels[self.indices]

    @property
    def nbytes(self) -> int:
        """Bytes of its inputs and labels."""
        inputs, labels = self.examples.inputs, self.examples.labels
        return len(self) * (inputs[:1].nbytes + labels[:1].nbytes)

    def train_positions(
        self, global_batch_size: int, seed: int, step: int, steps: int = 1
    ) -> np.ndarray:
        """Returns the positions of the examples of training steps, int64 [steps * batch]."""
        if self.balanced:
            return balanced_positions(self._members, global_batch_size, seed, step, steps)
        return batch_positions(len(self), global_batch_size, seed, step, steps)

    @functools.cached_property
    def _members(self) -> Members:
        return Members.of(self.labels)

    def gather(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the batch of the examples at the given positions of the split."""
        chosen = self.indices[positions]
        return {"input": self.examples.inputs[chosen], "label": self.examples.labels[chosen]}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set as an experiment uses it.

    Attributes:
      name: its name.
      class_names: names of the classes; () where numbers are to be predicted.
      train, validation: the splits that training may read.
      read_test: reads the test split; to be called once, at the end.
      mean, std: statistics of train along the inputs' last axis (the channels of
        images, the columns of tables), float32.
      fingerprint: hexadecimal digest of what train and validation hold.
      class_weights: factors of the losses of each class's examples in training;
        () is 1 for all.
      target: mean and standard deviation of the numbers to be predicted in train,
        float32 scalars; None where there are classes.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    read_test: Callable[[], Split]
    mean: np.ndarray
    std: np.ndarray
    fingerprint: str
    class_weights: tuple[float, ...] = ()
    target: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(height, width, channels) of images, (columns,) of tables."""
        return self.train.examples.inputs.shape[1:]

    @functools.cached_property
    def patch_covariance(self) -> Callable[[int], np.ndarray]:
        """Size -> covariance of patches of images of train; see `research.data.patches`."""
        images, indices = self.train.examples.inputs, self.train.indices
        of_train = functools.partial(patch_covariance, images, indices, self.mean, self.std)
        return functools.cache(of_train)


def open_dataset(data: Data) -> Dataset:
    """Opens a data set, cutting from train the splits that it does not have.

    Raises:
      UserError: if the data is not there, or not what it should be.
    """
    source = open_source(data)
    names = class_names(data, source.class_names)
    given = source.splits
    whole = _read(data, source, "train")
    remaining = whole
    if "test" not in given:
        remaining, test = cut(remaining, data.test_fraction, data.split_seed, names)
    if "validation" in given:
        validation = _read_whole(data, source, "validation", {"train": whole})
    else:
        # Of what the publisher calls train, whatever test has taken of it.
        fraction = data.validation_fraction * len(whole) / len(remaining)
        remaining, validation = cut(remaining, fraction, data.split_seed, names)
    others = {"train": whole, "validation": validation}
    read_test = (
        functools.partial(_read_whole, data, source, "test", others)
        if "test" in given
        else lambda: test
    )
    stays = thinned(remaining.labels, data, names)
    remaining = Split(remaining.examples, remaining.indices[stays])
    mean, std = input_statistics(remaining)
    if data.balance == "smote":
        from research.data.smote import with_synthetic_rows

        rows = remaining.gather(np.arange(len(remaining)))
        told_apart = dataclasses.replace(source, class_names=names)
        filled = with_synthetic_rows(rows["input"], rows["label"], mean, std, told_apart, data)
        remaining = Split(filled, np.arange(len(filled.labels)))
    remaining = dataclasses.replace(remaining, balanced=data.balance == "sampling")
    digest = hashlib.blake2b(digest_size=16)
    for split in (remaining, validation):
        digest.update(split.examples.fingerprint.encode())
        digest.update(split.indices.tobytes())
    return Dataset(
        name=data.name,
        class_names=names,
        train=remaining,
        validation=validation,
        read_test=read_test,
        mean=mean,
        std=std,
        fingerprint=digest.hexdigest(),
        class_weights=balanced_weights(remaining.labels, len(names))
        if data.balance == "weights"
        else (),
        target=None if names else _statistics_of_numbers(remaining.labels),
    )


def open_source(data: Data) -> Source:
    """Opens a data set as its publisher divided it; no example is read.

    Raises:
      UserError: if the data is not there, or not what it should be.
    """
    try:
        return data.open()
    except UnknownDataSet as error:
        raise UserError(
            f"config.data.name: {error}\nHanok itself has: {listing(DATASETS)}."
            f"{suggestion(data.name, DATASETS)}"
        ) from error


def cut(
    split: Split, fraction: float, seed: int, class_names: Sequence[str]
) -> tuple[Split, Split]:
    """Cuts a stratified share off a split: (what remains, the share).

    Of every class the same share is taken, to within one example. Identical
    inputs stay together, whatever their labels, so that none is on both sides;
    where there are such groups, a share may be larger by the rest of one and by
    what other classes hold of theirs.

    Args:
      split: what to cut.
      fraction: the share, in (0, 1).
      seed: decides which examples are taken.
      class_names: names of the classes, for messages; () where the labels are
        numbers to be predicted.

    Raises:
      UserError: if a class has too few different inputs to be on both sides.
    """
    # Numbers to be predicted are of one kind.
    labels = split.labels if class_names else np.zeros(len(split), np.int32)
    groups = _groups_of_identical_inputs(split)
    group_taken = np.zeros(groups.max() + 1, bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = groups[members[shuffled(len(members), seed, int(label))]]
        free = order[~group_taken[order]]
        missing = max(1, round(fraction * len(members))) - (len(order) - len(free))
        # Whole groups, in the order of their first members, until the share is full.
        ids, first, sizes = np.unique(free, return_index=True, return_counts=True)
        queue = np.argsort(first)
        taken_before = np.cumsum(sizes[queue]) - sizes[queue]
        group_taken[ids[queue[taken_before < missing]]] = True
    taken = group_taken[groups]
    for label in np.setdiff1d(labels, labels[~taken]):
        members = labels == label
        whose = f"class {class_names[label]!r}" if class_names else "the data"
        raise UserError(
            f"{whose} has too few different inputs to cut a validation or "
            f"test split from it ({len(np.unique(groups[members]))} in {members.sum()} examples); "
            "give these splits, or more examples"
        )
    return Split(split.examples, split.indices[~taken]), Split(split.examples, split.indices[taken])


def input_statistics(split: Split, chunk: int = 4096) -> tuple[np.ndarray, np.ndarray]:
    """Returns (mean, standard deviation) along the inputs' last axis, float32.

    Those of uint8 inputs are computed from counts of the 256 possible values and
    so are exact; those of others in float64.
    """
    if split.examples.inputs.dtype == np.uint8:
        mean, std = _statistics_of_bytes(split, chunk)
    else:
        return _statistics_of_numbers(split.examples.inputs[split.indices])
    return _to_divide_by(mean, std)


def _statistics_of_numbers(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (mean, standard deviation) along the last axis, of [n] along none."""
    rows = numbers.astype(np.float64)
    axes = tuple(range(max(1, rows.ndim - 1)))
    unchanged = (rows == rows[:1]).all(axis=axes)  # up to the rounding of the mean
    return _to_divide_by(rows.mean(axis=axes), np.where(unchanged, 0, rows.std(axis=axes)))


def _to_divide_by(mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, std = mean.astype(np.float32), std.astype(np.float32)
    # What never changes carries nothing; dividing by 1 keeps it at 0.
    return mean, np.where(std > 0, std, np.float32(1))


def balanced_weights(labels: np.ndarray, num_classes: int) -> tuple[float, ...]:
    """Returns n / (k·n_c) of each class c of the k that there are; 1 of the others.

    Those of scikit-learn's `class_weight="balanced"` (King & Zeng 2001): all
    classes then count alike, and the examples as much as without weights.
    """
    counts = np.bincount(labels, minlength=num_classes)
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return tuple(np.where(counts > 0, weights, 1.0).tolist())


def _statistics_of_bytes(split: Split, chunk: int) -> tuple[np.ndarray, np.ndarray]:
    channels = split.examples.inputs.shape[-1]
    counts = np.zeros((channels, 256), np.int64)
    for start in range(0, len(split), chunk):
        inputs = split.examples.inputs[split.indices[start : start + chunk]]
        for channel in range(channels):
            counts[channel] += np.bincount(inputs[..., channel].ravel(), minlength=256)
    values = np.arange(256)
    total = counts.sum(axis=1)
    mean = counts @ values / total
    variance = counts @ values**2 / total - mean**2
    return mean, np.sqrt(np.maximum(variance, 0))


def _groups_of_identical_inputs(split: Split) -> np.ndarray:
    """Returns an id for every input, int64 [n]; identical inputs share it."""
    digests = [
        hashlib.blake2b(
            np.ascontiguousarray(split.examples.inputs[i]).data, digest_size=16
        ).digest()
        for i in split.indices
    ]
    return np.unique(np.asarray(digests, "S16"), return_inverse=True)[1]


def _read(data: Data, source: Source, split: str) -> Split:
    """Reads a split that the publisher made, of the classes that are told apart."""
    examples = source.splits[split]()
    names = class_names(data, source.class_names)
    if names:
        _check_labels(examples.labels, len(source.class_names), data.name, split)
        examples = relabelled(examples, source.class_names, names)
    found = Split(examples, np.arange(len(examples.labels)))
    if data.classes:
        found = Split(examples, np.flatnonzero(examples.labels != LEFT_OUT))
    if not len(found):
        raise UserError(f"data set {data.name!r}: the {split} split is empty")
    kinds = np.unique(found.labels)
    if split == "train" and len(kinds) < 2:
        one = f"belong to one class, {names[kinds[0]]!r}" if names else f"say {kinds[0]}"
        raise UserError(
            f"data set {data.name!r}: all examples of train {one}; there is nothing to tell apart"
        )
    return found


def _check_labels(labels: np.ndarray, num_classes: int, name: str, split: str) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        raise UserError(
            f"data set {name!r}: label {labels[wrong[0]]} of example {wrong[0]} in "
            f"{split} is out of range; labels of {num_classes} classes lie in "
            f"[0, {num_classes - 1}] ({len(wrong)} labels are wrong)"
        )


def _read_whole(data: Data, source: Source, split: str, others: Mapping[str, Split]) -> Split:
    """Reads a split that the publisher made, none of `others` once more."""
    found = _read(data, source, split)
    shape, expected = (each.examples.inputs.shape[1:] for each in (found, others["train"]))
    if shape != expected:
        raise UserError(
            f"data set {data.name!r}: inputs of {split} have shape {shape}, those of train "
            f"{expected}"
        )
    for other, held in others.items():
        if held.examples.fingerprint == found.examples.fingerprint:
            raise UserError(
                f"data set {data.name!r}: {split} holds the very examples of {other}; what is "
                "measured on them says nothing of others"
            )
    return found
