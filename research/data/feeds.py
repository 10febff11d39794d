"""Two ways in which the batches of many training steps reach the devices.

Both give the same batches, functions of (seed, step). A feed has two ends: on
the host `take` hands over a *source*, a pytree on the devices that holds what
the next steps need; in the compiled program `batch` makes a step's batch of it.
"""

import os
from collections.abc import Iterator
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from research.batch_axis import NAME as AXIS
from research.data.feed import place
from research.data.splits import Split

RESIDENT_SHARE = 0.25
"""The share of a device's memory that a data set may fill."""

MOST_STEPS = 1024
"""Steps whose positions are sent at once, at most."""

STREAMED_BYTES = 8 << 20
"""Bytes of batches that are sent at once, at most, where that is more than a batch."""


Source = dict[str, Any]
"""What the devices are given for the next steps."""


class Feed(Protocol):
    """Where training batches come from.

    Attributes:
      capacity: the most steps that a source serves.
      description: says in a few words where the examples are.
    """

    capacity: int
    description: str

    def take(self, step: int, steps: int) -> Source:
        """Returns the source of so many steps from `step` (counted from 0) on.

        It is a dictionary; "steps" is their number, int32 scalar.
        """

    def batch(self, source: Source, index: jax.Array) -> dict[str, jax.Array]:
        """Returns the batch of step number `index` of a source, inside a program.

        Args:
          source: what `take` returned.
          index: int32 scalar, below the number of steps that it was taken for.
        """


class ResidentFeed:
    """Examples that live on the devices, divided over them; positions are sent."""

    def __init__(self, split: Split, global_batch_size: int, seed: int, mesh: Mesh, most: int):
        """Sends all examples of a split to the devices.

        Args:
          split: the training split.
          global_batch_size: examples of a step.
          seed: the experiment's, which decides their order.
          mesh: the devices.
          most: the most steps that a source is to serve.
        """
        self._split, self._global_batch_size, self._seed = split, global_batch_size, seed
        self._mesh = mesh
        self.capacity = min(most, MOST_STEPS)
        parts = mesh.shape[AXIS]
        rows = -(-len(split) // parts) * parts  # the last rows are there for evenness alone
        positions = np.minimum(np.arange(rows), len(split) - 1)
        self._input_shape = split.examples.inputs.shape[1:]
        sharding = NamedSharding(mesh, PartitionSpec(AXIS))
        self._examples = place(lambda rows: flat(split.gather(rows)), positions, sharding)
        self.description = f"resident, {split.nbytes / parts / 1e6:.1f} MB a device"

    def take(self, step: int, steps: int) -> Source:
        positions = np.zeros((self.capacity, self._global_batch_size), np.int32)
        taken = self._split.train_positions(self._global_batch_size, self._seed, step, steps)
        positions[:steps] = taken.reshape(steps, -1)
        whole = NamedSharding(self._mesh, PartitionSpec())
        return {
            "steps": send(np.int32(steps), whole),
            "positions": send(positions, whole),
            "examples": self._examples,
        }

    def batch(self, source: Source, index: jax.Array) -> dict[str, jax.Array]:
        positions = source["positions"][index]
        batch = {name: self._gather(rows, positions) for name, rows in source["examples"].items()}
        return unflat(batch, self._input_shape)

    def _gather(self, examples: jax.Array, positions: jax.Array) -> jax.Array:
        if self._mesh.shape[AXIS] == 1:
            # XLA:CPU sends a message even to itself, which takes as long as a small layer.
            return examples.at[positions].get(mode="clip")
        exchanged = jax.shard_map(
            _exchanged,
            mesh=self._mesh,
            in_specs=(PartitionSpec(AXIS), PartitionSpec()),
            out_specs=PartitionSpec(AXIS),
        )
        return exchanged(examples, positions)


def _exchanged(shard: jax.Array, positions: jax.Array) -> jax.Array:
    """Returns this device's part of a batch whose examples lie on all devices.

    Each device fills in the examples that it holds, and the sum over the
    devices, of which all but one have zeros, is divided among them: a message of
    the size of the batch, whatever that of the data set.

    Args:
      shard: the examples of this device, [rows, ...].
      positions: where the batch's examples are among all, int32 [batch].
    """
    here = positions - lax.axis_index(AXIS) * len(shard)
    held = (here >= 0) & (here < len(shard))
    # As bits: adding zeros to them changes none, not that of a negative zero either.
    bits = jnp.dtype(f"uint{8 * shard.dtype.itemsize}")
    rows = lax.bitcast_convert_type(shard, bits).at[here].get(mode="clip")
    rows = jnp.where(held.reshape(-1, *[1] * (shard.ndim - 1)), rows, 0)
    part = lax.psum_scatter(rows, AXIS, tiled=True)
    return lax.bitcast_convert_type(part, shard.dtype)


class StreamedFeed:
    """Examples that stay where they are stored; threads read the batches ahead."""

    def __init__(
        self,
        split: Split,
        global_batch_size: int,
        seed: int,
        mesh: Mesh,
        most: int,
        total_steps: int,
        threads: int,
    ):
        """Reads nothing yet.

        Args:
          split, global_batch_size, seed, mesh, most: see `ResidentFeed`.
          total_steps: where training ends.
          threads: how many read at once.
        """
        self._split, self._global_batch_size, self._seed = split, global_batch_size, seed
        self._input_shape = split.examples.inputs.shape[1:]
        self._total_steps, self._threads = total_steps, threads
        batch_bytes = split.nbytes // len(split) * global_batch_size
        self.capacity = max(1, min(most, STREAMED_BYTES // batch_bytes))
        self._sharding = NamedSharding(mesh, PartitionSpec(None, AXIS))
        self._rows = _rows_here(NamedSharding(mesh, PartitionSpec(AXIS)), global_batch_size)
        self._next = -1
        self._batches: Iterator[dict[str, np.ndarray]] = iter(())
        self.description = f"streamed by {threads} threads, {self.capacity} steps at once"

    def take(self, step: int, steps: int) -> Source:
        if step != self._next:
            self._batches = self._from(step)
        self._next = step + steps
        batches = [next(self._batches) for _ in range(steps)]
        # Sources have one size, whatever the number of steps in them.
        batches += batches[-1:] * (self.capacity - steps)
        whole = NamedSharding(self._sharding.mesh, PartitionSpec())
        return {
            "steps": send(np.int32(steps), whole),
            "batches": {
                name: send(
                    np.stack([batch[name] for batch in batches]),
                    self._sharding,
                    (self.capacity, self._global_batch_size, *batches[0][name].shape[1:]),
                )
                for name in batches[0]
            },
        }

    def batch(self, source: Source, index: jax.Array) -> dict[str, jax.Array]:
        batch = {name: batches[index] for name, batches in source["batches"].items()}
        return unflat(batch, self._input_shape)

    def _from(self, step: int) -> Iterator[dict[str, np.ndarray]]:
        import grain  # slow to import

        def read(step: int) -> dict[str, np.ndarray]:
            taken = self._split.train_positions(self._global_batch_size, self._seed, step)
            return flat(self._split.gather(taken[self._rows]))

        ahead = grain.ReadOptions(
            num_threads=self._threads, prefetch_buffer_size=max(self._threads, 2 * self.capacity)
        )
        steps = grain.MapDataset.range(step, self._total_steps)
        return iter(steps.map(read).to_iter_dataset(ahead))


def flat(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns rows whose inputs have one dimension each.

    A TPU's tiles of 8 × 128 would be filled by single pixels otherwise, and on a
    CPU rows of one dimension are gathered four times as fast.
    """
    return {**rows, "input": rows["input"].reshape(len(rows["input"]), -1)}


def unflat(batch: dict[str, jax.Array], input_shape: tuple[int, ...]) -> dict[str, jax.Array]:
    """Returns a batch, or batches along a first axis, whose inputs have their shape again."""
    # Gathered for itself: joined with what uses it, each pixel's place is computed anew.
    batch = lax.optimization_barrier(batch)
    inputs = batch["input"]
    return {**batch, "input": inputs.reshape(*inputs.shape[:-1], *input_shape)}


def fits_on_devices(split: Split, mesh: Mesh) -> bool:
    """Whether the devices have room for the examples of a split."""
    share = split.nbytes / mesh.shape[AXIS]
    return share <= RESIDENT_SHARE * min(map(_memory, mesh.local_devices))


def _memory(device: jax.Device) -> float:
    """Returns the bytes that a device has; what CPU devices have is the machine's."""
    if statistics := device.memory_stats():
        return statistics["bytes_limit"]
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return machine / jax.local_device_count()


def _rows_here(sharding: NamedSharding, global_batch_size: int) -> np.ndarray:
    """Returns which rows of a batch this process's devices have, int64 [rows]."""
    slices = sharding.addressable_devices_indices_map((global_batch_size,)).values()
    bounds = sorted({index[0].indices(global_batch_size)[:2] for index in slices})
    return np.concatenate([np.arange(*each) for each in bounds])


def send(
    rows: np.ndarray, sharding: NamedSharding, shape: tuple[int, ...] | None = None
) -> jax.Array:
    """Returns the global array of which this process has `rows`; asynchronous."""
    with jax.transfer_guard_host_to_device("allow"):
        return jax.make_array_from_process_local_data(sharding, rows, shape or rows.shape)
