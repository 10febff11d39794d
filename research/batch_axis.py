"""Sums over a batch, whoever divides it.

Under `jax.jit` the step sees the global batch, and the compiler divides it over
the devices. Under `jax.pmap` it sees its device's part, and sums over the batch
must be made over the devices, too. These functions do what is right in both,
so that models and steps are written once.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

NAME = "data"
"""The mesh axis that batches are divided along."""


def name() -> str | None:
    """Returns the axis over which the batch is mapped, None if the step sees all of it."""
    try:
        lax.axis_size(NAME)
    except NameError:
        return None
    return NAME


def parts() -> int:
    """Returns how many parts the batch is mapped over, 1 if the step sees all of it."""
    return lax.axis_size(NAME) if name() else 1


def mean(tree: Any) -> Any:
    """Returns the mean of each leaf over the parts of the batch."""
    return lax.pmean(tree, NAME) if name() else tree


def total(tree: Any) -> Any:
    """Returns the sum of each leaf over the parts of the batch."""
    return lax.psum(tree, NAME) if name() else tree


def rows(draw, shape: tuple[int, ...]) -> jax.Array:
    """Returns this part's rows of what is drawn for the global batch.

    Args:
      draw: shape -> array of that shape, whose first axis is the batch.
      shape: shape of this part.
    """
    size = shape[0]
    drawn = draw((size * parts(), *shape[1:]))
    # Only these rows are computed: the compiler fuses the draw into the slice.
    return lax.dynamic_slice_in_dim(drawn, lax.axis_index(NAME) * size, size) if name() else drawn


def positions(size: int) -> jax.Array:
    """Returns where this part's examples stand in the global batch, int32 [size]."""
    return jnp.arange(size) + (lax.axis_index(NAME) * size if name() else 0)


def successors(rows_of_part: jax.Array) -> jax.Array:
    """Returns of each row the one after it in the global batch, of the last the first.

    Batches are drawn in random order, so that this pairs examples at random.
    """
    if not name():
        return jnp.roll(rows_of_part, -1, axis=0)
    count = parts()
    first_of_next = lax.ppermute(
        rows_of_part[:1], NAME, [((part + 1) % count, part) for part in range(count)]
    )
    return jnp.concatenate([rows_of_part[1:], first_of_next])
