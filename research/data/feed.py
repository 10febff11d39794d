"""Examples on the devices of a mesh, and the batches of evaluation."""

import functools
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.sharding import Sharding

from research.data.splits import Split


def evaluation_batches(
    split: Split, global_batch_size: int, sharding: Sharding
) -> Iterator[dict[str, jax.Array]]:
    """Yields all examples of a split exactly once, in batches of one size.

    The last batch is filled up with copies of the first example, whose "mask"
    is False.
    """

    def gather(positions: np.ndarray) -> dict[str, np.ndarray]:
        mask = positions < len(split)
        return {**split.gather(np.where(mask, positions, 0)), "mask": mask}

    for start in range(0, len(split), global_batch_size):
        yield place(gather, np.arange(start, start + global_batch_size), sharding)


def place(
    gather: Callable[[np.ndarray], dict[str, np.ndarray]],
    positions: np.ndarray,
    sharding: Sharding,
) -> dict[str, jax.Array]:
    """Returns the examples at `positions` as global arrays.

    Each process reads the rows of its own devices alone, whatever their number.
    The transfer is asynchronous.

    Args:
      gather: positions -> arrays of their rows.
      positions: int [rows].
      sharding: how the rows are divided over devices.
    """
    rows = functools.cache(lambda start, stop: gather(positions[start:stop]))

    def rows_of(index: tuple[slice, ...]) -> dict[str, np.ndarray]:
        start, stop, _ = index[0].indices(len(positions))
        return rows(start, stop)

    some = rows_of(next(iter(sharding.addressable_devices_indices_map(positions.shape).values())))
    # Sending data is meant, whatever the guard of the loop says.
    with jax.transfer_guard_host_to_device("allow"):
        return {
            name: jax.make_array_from_callback(
                (len(positions), *values.shape[1:]),
                sharding,
                lambda index, name=name: rows_of(index)[name],
            )
            for name, values in some.items()
        }
