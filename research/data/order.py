"""The order of examples, as pure functions of (seed, epoch) and (seed, step).

Permutations come from the raw output of Philox, a counter-based generator
(Salmon et al. 2011) whose stream numpy guarantees not to change; `numpy.random`
distributions carry no such promise.
"""

import functools

import numpy as np


def shuffled(count: int, *key: int) -> np.ndarray:
    """Returns a permutation of range(count) decided by the key, int64 [count].

    Args:
      count: how many numbers are shuffled.
      *key: at most two whole numbers, the first below 2**64.
    """
    words = np.zeros(2, np.uint64)
    words[: len(key)] = key
    draws = np.random.Philox(key=words).random_raw(count)
    # Stable, so that equal draws cannot be ordered differently elsewhere.
    return np.argsort(draws, kind="stable")


def batch_positions(num_examples: int, global_batch_size: int, seed: int, step: int) -> np.ndarray:
    """Returns the positions of the examples of one training step, int64 [batch].

    Training reads an endless stream of epochs, each a permutation of all
    examples; step n takes the n-th batch of the stream. A batch may span the
    end of an epoch, so every example is seen exactly once in each.

    Args:
      num_examples: size of the training split.
      global_batch_size: examples per step, at most `num_examples`.
      seed: the experiment's seed.
      step: training step, counted from 0.
    """
    epoch, offset = divmod(step * global_batch_size, num_examples)
    positions = _epoch(num_examples, seed, epoch)[offset : offset + global_batch_size]
    if missing := global_batch_size - len(positions):
        positions = np.concatenate([positions, _epoch(num_examples, seed, epoch + 1)[:missing]])
    return positions


@functools.lru_cache(maxsize=4)
def _epoch(num_examples: int, seed: int, epoch: int) -> np.ndarray:
    permutation = shuffled(num_examples, seed, epoch)
    permutation.setflags(write=False)
    return permutation
