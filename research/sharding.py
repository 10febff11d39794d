"""Placement: the path of an array of the training state -> PartitionSpec.

This is the one file that decides which array lives where; models and steps
know nothing of it.
"""

import math
import re
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from research.paths import path_name

RULES: list[tuple[str, PartitionSpec]] = [
    # Few classes, seldom divisible: the last layer is divided along its inputs.
    (r"logits/kernel$", PartitionSpec("model", None)),
    (r"logits/bias$", PartitionSpec()),
    # Others along their output channels; what belongs to a channel lies with it.
    (r"(^|/)kernel$", PartitionSpec("model")),
    (r"(^|/)(bias|scale)$|_norm/(mean|var)$", PartitionSpec("model")),
]
"""(pattern, spec). The first pattern that is found in a path decides. Paths are
such as "params/dense_0/kernel" or "opt_state/0/mu/dense_0/kernel": one rule
serves a parameter, the optimizer's memory of it and its average. A spec speaks
of an array's last dimensions, so that "model" alone is the channels of dense
and convolution kernels. What no pattern matches is whole on every device, and
so is a dimension that its axis doesn't divide."""

SMALLEST_DIVIDED = 1024
"""Elements below which FSDP leaves an array whole: gathering it would cost a
message for next to no memory."""


def state_shardings(mesh: Mesh, state: Any, fsdp: bool = False) -> Any:
    """Returns the tree of shardings of a training state.

    Args:
      mesh: the devices; an axis that it lacks divides nothing.
      state: pytree of arrays, or of their shapes.
      fsdp: whether arrays are divided along "data", too.
    """

    def sharding(path, leaf):
        spec = _rule(path_name(path), leaf.shape, mesh)
        if fsdp and math.prod(leaf.shape) >= SMALLEST_DIVIDED:
            spec = _divided_along_data(spec, leaf.shape, mesh.shape["data"])
        while spec and spec[-1] is None:
            spec.pop()
        return NamedSharding(mesh, PartitionSpec(*spec))

    return jax.tree_util.tree_map_with_path(sharding, state)


def with_shardings(shapes: Any, shardings: Any) -> Any:
    """Returns a tree of `jax.ShapeDtypeStruct` that say where each array goes."""
    return jax.tree.map(
        lambda shape, sharding: jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding),
        shapes,
        shardings,
    )


def gathered(mesh: Mesh, params: Any) -> Any:
    """Returns parameters as the model uses them: nothing divided along "data".

    Called inside the step where it uses what FSDP has divided. Without it the
    compiler is free to divide layers in ways that cost more.
    """
    return jax.lax.with_sharding_constraint(params, state_shardings(mesh, params))


def _rule(name: str, shape: tuple[int, ...], mesh: Mesh) -> list[str | None]:
    """Returns the axis of each dimension, as the first rule that fits has it."""
    rule = next((spec for pattern, spec in RULES if re.search(pattern, name)), ())
    axes = [None] * max(0, len(shape) - len(rule)) + list(rule)[-len(shape) :] if shape else []
    return [
        axis if axis in mesh.shape and size % mesh.shape[axis] == 0 else None
        for axis, size in zip(axes, shape, strict=True)
    ]


def _divided_along_data(
    axes: list[str | None], shape: tuple[int, ...], size: int
) -> list[str | None]:
    """Divides the largest dimension that is still whole and can be divided."""
    free = [i for i, axis in enumerate(axes) if axis is None and shape[i] % size == 0]
    if free and "data" not in axes:
        axes[max(free, key=lambda i: shape[i])] = "data"
    return axes
