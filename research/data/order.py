"""The order of examples, as pure functions of (seed, epoch) and (seed, step)."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from research.data.draws import shuffled

MANY = 1024
"""Numbers that are drawn at once where a class is small: drawing any takes time."""


def batch_positions(
    num_examples: int, global_batch_size: int, seed: int, step: int, steps: int = 1
) -> np.ndarray:
    """Returns the positions of the examples of training steps, int64 [steps * batch].

    Training reads an endless stream of epochs, each a permutation of all
    examples; step n takes the n-th batch of the stream. A batch may span the
    end of an epoch, so every example is seen exactly once in each.

    Args:
      num_examples: size of the training split.
      global_batch_size: examples per step, at most `num_examples`.
      seed: the experiment's seed.
      step: the first of the training steps, counted from 0.
      steps: how many there are.
    """
    epoch = functools.partial(_epoch, num_examples, seed)
    return _piece(epoch, num_examples, step * global_batch_size, steps * global_batch_size)


@dataclasses.dataclass(frozen=True, eq=False)
class Members:
    """The examples of each class, of which as many are drawn of every one.

    Attributes:
      positions: for each class that there is, int64 [its examples].
    """

    positions: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, labels: np.ndarray) -> "Members":
        """Returns the members of the classes in labels, int32 [n]."""
        return cls(tuple(np.flatnonzero(labels == label) for label in np.unique(labels)))


def balanced_positions(
    members: Members, global_batch_size: int, seed: int, step: int, steps: int = 1
) -> np.ndarray:
    """Returns the positions of the examples of training steps, int64 [steps * batch].

    The stream is one of rounds, each of which holds every class once, in an
    order of its own: of any run of examples, also of a batch, the classes have
    equal shares to within one at either end. What stands for a class in a round
    comes from a stream of permutations of its members, so that all of them are
    seen equally often; those of a small class more often than others.

    Args:
      members: the examples by class.
      global_batch_size: examples per step, at most the number of examples.
      seed: the experiment's seed, below 2**32.
      step: the first of the training steps, counted from 0.
      steps: how many there are.
    """
    epoch_size = _rounds(members) * len(members.positions)
    epoch = functools.partial(_balanced_epoch, members, seed)
    return _piece(epoch, epoch_size, step * global_batch_size, steps * global_batch_size)


def _piece(
    epoch: Callable[[int], np.ndarray], epoch_size: int, start: int, size: int
) -> np.ndarray:
    """Returns elements start to start + size of a stream of epochs of one size."""
    first, offset = divmod(start, epoch_size)
    last = (start + size - 1) // epoch_size
    if first == last:
        return epoch(first)[offset : offset + size]
    return np.concatenate([epoch(n) for n in range(first, last + 1)])[offset : offset + size]


@functools.lru_cache(maxsize=4)
def _epoch(num_examples: int, seed: int, epoch: int) -> np.ndarray:
    permutation = shuffled(num_examples, seed, epoch)
    permutation.setflags(write=False)
    return permutation


def _rounds(members: Members) -> int:
    """Returns how many rounds have about as many examples as there are."""
    return -(-sum(map(len, members.positions)) // len(members.positions))


@functools.lru_cache(maxsize=4)
def _balanced_epoch(members: Members, seed: int, epoch: int) -> np.ndarray:
    rounds, classes = _rounds(members), len(members.positions)
    drawn = np.empty((rounds, classes), np.int64)
    for index, positions in enumerate(members.positions):
        # Seeds have 32 bits: those above them tell the classes' streams apart.
        key, times = seed + ((index + 1) << 32), -(-MANY // len(positions))
        stream = functools.partial(shuffled, len(positions), key, times=times)
        piece = _piece(stream, times * len(positions), epoch * rounds, rounds)
        drawn[:, index] = positions[piece]
    orders = shuffled(classes, seed, epoch, times=rounds).reshape(rounds, classes)
    result = np.take_along_axis(drawn, orders, axis=1).ravel()
    result.setflags(write=False)
    return result
