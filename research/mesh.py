"""Devices -> mesh, and how a batch is divided over it."""

import math
import os
import platform
from collections.abc import Sequence

import jax
from jax.experimental import mesh_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from research.errors import UserError
from research.experiment import Mesh


def make_mesh(options: Mesh, devices: Sequence[jax.Device] | None = None) -> jax.sharding.Mesh:
    """Returns the mesh of an experiment.

    Args:
      options: its shape.
      devices: those to use, all there are unless given; of more than the shape
        needs, the first.

    Raises:
      UserError: if there are too few devices, or a process would have none.
    """
    devices = jax.devices() if devices is None else devices
    sizes = options.sizes(len(devices))
    count = math.prod(sizes.values())
    if count < len(devices) and jax.process_count() > 1:
        raise UserError(
            f"config.mesh.shape: {options.shape} uses {count} of {len(devices)} devices; a run of "
            "several processes must use all"
        )
    # As jax.make_mesh, which refuses to lay an axis along part of a slice's edge.
    grid = mesh_utils.create_device_mesh(
        tuple(sizes.values()), devices[:count], allow_split_physical_axes=True
    )
    # Flax Linen's layers need axes of type Auto.
    return jax.sharding.Mesh(grid, tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


def batch_sharding(mesh: jax.sharding.Mesh) -> NamedSharding:
    """Returns the sharding of a batch: examples divided over the "data" axis."""
    return NamedSharding(mesh, PartitionSpec("data"))


def check_divisible(global_batch_size: int, mesh: jax.sharding.Mesh, field: str) -> None:
    """Raises `UserError` unless the mesh's "data" axis shares a batch evenly."""
    parts = mesh.shape["data"]
    if global_batch_size % parts:
        below = global_batch_size // parts * parts
        nearest = " or ".join(str(size) for size in (below, below + parts) if size)
        devices = "devices" if parts == mesh.size else f'parts along "data" of {mesh.size} devices'
        raise UserError(
            f"{field}: {global_batch_size} examples can't be divided evenly over "
            f"{parts} {devices}; the nearest sizes that can are {nearest}"
        )


def hardware() -> str:
    """Returns what this machine computes on, in words."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        return f"{jax.device_count()} × {device.device_kind}"
    return f"{os.cpu_count()} cores of {platform.machine()}, {platform.system()}"


def describe(mesh: jax.sharding.Mesh, mode: str) -> str:
    """Returns one line that says which devices the mesh holds, and how."""
    device = mesh.devices.flat[0]
    axes = " × ".join(f"{name}:{size}" for name, size in mesh.shape.items())
    unused = jax.device_count(device.platform) - mesh.size
    processes = len({device.process_index for device in mesh.devices.flat})
    return (
        f"{mesh.size} × {device.device_kind} ({device.platform}), mesh {axes}, {mode}"
        + (f", {processes} processes" if processes > 1 else "")
        + (f"; {unused} devices unused" if unused > 0 else "")
    )
