"""Where arrays live: devices -> mesh, parameter path -> PartitionSpec.

This is the one file that decides placement; models and steps know nothing of
it. Every array of the training state is placed by the first rule whose pattern
is found in its path, and batches are divided over the "data" axis.
"""

import re
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from research.errors import UserError

RULES: list[tuple[str, PartitionSpec]] = [
    (r".*", PartitionSpec()),
]
"""(pattern, spec): patterns are searched for in paths such as
"params/dense_0/kernel" or "opt_state/0/mu/dense_0/kernel"."""


def make_mesh() -> Mesh:
    """Returns a mesh with all devices along one axis, "data"."""
    # Flax Linen's layers need axes of type Auto; make_mesh defaults to Explicit.
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of a batch: examples divided over the "data" axis."""
    return NamedSharding(mesh, PartitionSpec("data"))


def state_shardings(mesh: Mesh, state: Any) -> Any:
    """Returns the tree of shardings of a training state (arrays or shapes)."""

    def sharding(path, _):
        name = path_name(path)
        spec = next(spec for pattern, spec in RULES if re.search(pattern, name))
        return NamedSharding(mesh, spec)

    return jax.tree_util.tree_map_with_path(sharding, state)


def path_name(path: tuple) -> str:
    """Returns a leaf's path in a pytree as "a/b/c"."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def check_divisible(global_batch_size: int, mesh: Mesh, field: str) -> None:
    """Raises `UserError` unless the mesh's devices share a batch evenly."""
    devices = mesh.shape["data"]
    if global_batch_size % devices:
        below = global_batch_size // devices * devices
        nearest = " or ".join(str(size) for size in (below, below + devices) if size)
        raise UserError(
            f"{field}: {global_batch_size} examples can't be divided evenly over "
            f"{devices} devices; the nearest sizes that can are {nearest}"
        )


def describe(mesh: Mesh) -> str:
    """Returns one line that says which devices the mesh holds, and how."""
    device = mesh.devices.flat[0]
    axes = " × ".join(f"{name}:{size}" for name, size in mesh.shape.items())
    return f"{mesh.size} × {device.device_kind} ({device.platform}), mesh {axes}"
