"""Random numbers that are the same everywhere and always.

They come from the raw output of Philox, a counter-based generator (Salmon et
al. 2011) whose stream numpy guarantees not to change; `numpy.random`
distributions carry no such promise. A key is at most two whole numbers below
2**64; equal keys give equal draws.
"""

import numpy as np
from numpy.random.bit_generator import ISeedSequence


class _Key(ISeedSequence):
    """Gives Philox its key, for which it otherwise asks the system for entropy, too."""

    def __init__(self, key: np.ndarray):
        self._key = key

    def generate_state(self, n_words, dtype=np.uint32):
        return self._key


def words(count: int, *key: int) -> np.ndarray:
    """Returns random numbers decided by the key, uint64 [count]."""
    padded = np.zeros(2, np.uint64)
    padded[: len(key)] = key
    return np.random.Philox(_Key(padded)).random_raw(count)


def shuffled(count: int, *key: int, times: int = 1) -> np.ndarray:
    """Returns permutations of range(count) decided by the key, int64 [times * count].

    Args:
      count: how many numbers are shuffled.
      *key: see the module's docstring.
      times: how many permutations follow one another.
    """
    drawn = words(times * count, *key).reshape(times, count)
    # Numbers that end in their positions are sorted in half the time that sorting
    # positions takes.
    width = np.uint64((count - 1).bit_length())
    positions = np.uint64((1 << int(width)) - 1)
    numbers = drawn & ~positions | np.arange(count, dtype=np.uint64)
    numbers.sort(axis=1)
    upper = numbers >> width
    if (upper[:, 1:] == upper[:, :-1]).any():
        # Decided by what the positions stand in the place of; equal draws keep their order.
        return np.argsort(drawn, axis=1, kind="stable").ravel()
    return (numbers & positions).astype(np.int64).ravel()


def uniform(shape: tuple[int, ...], low: float, high: float, *key: int) -> np.ndarray:
    """Returns numbers spread evenly over [low, high), float64 [*shape]."""
    # The upper 53 bits are as many as a float64 holds.
    unit = (words(int(np.prod(shape)), *key) >> np.uint64(11)) * 2.0**-53
    return low + (high - low) * unit.reshape(shape)


def normal(shape: tuple[int, ...], *key: int) -> np.ndarray:
    """Returns standard normal numbers, float64 [*shape] (Box & Muller 1958)."""
    first, second = uniform((2, *shape), 0, 1, *key)
    return np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * np.pi * second)
