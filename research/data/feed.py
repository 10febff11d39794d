"""Batches on the devices of a mesh: (seed, step) -> batch."""

from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Sharding

from research.data.order import batch_positions
from research.data.splits import Split


def train_batch(
    split: Split, global_batch_size: int, seed: int, step: int, sharding: Sharding
) -> dict[str, jax.Array]:
    """Returns the batch of one training step (counted from 0), on the devices.

    The transfer is asynchronous: while the devices work on one step, the host
    gathers and sends the batch of the next.
    """
    positions = batch_positions(len(split), global_batch_size, seed, step)
    return jax.device_put(split.gather(positions), sharding)


def evaluation_batches(
    split: Split, global_batch_size: int, sharding: Sharding
) -> Iterator[dict[str, jax.Array]]:
    """Yields all examples of a split exactly once, in batches of one size.

    The last batch is filled up with copies of its first example, whose "mask"
    is False.
    """
    for start in range(0, len(split), global_batch_size):
        positions = np.arange(start, start + global_batch_size)
        mask = positions < len(split)
        batch = split.gather(np.where(mask, positions, start))
        yield jax.device_put({**batch, "mask": mask}, sharding)
