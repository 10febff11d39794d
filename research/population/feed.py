"""The batches of a population: each replica has its own order, all share the examples."""

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from research.data.feed import place
from research.data.feeds import MOST_STEPS, Source, flat, send, unflat
from research.data.splits import Split

POSITIONS_BYTES = 8 << 20
"""Bytes of positions that are sent at once, at most."""


class PopulationFeed:
    """Examples that live whole on every device; see `research.data.feeds.Feed`."""

    def __init__(
        self, split: Split, global_batch_size: int, seeds: Sequence[int], mesh: Mesh, most: int
    ):
        """Sends all examples of a split to every device.

        Args:
          split: the training split.
          global_batch_size: examples of a step of one replica.
          seeds: the replicas'; they decide the order of each.
          mesh: the devices, over which the replicas are divided; of one axis.
          most: the most steps that a source is to serve.
        """
        self._split, self._global_batch_size, self._seeds = split, global_batch_size, seeds
        self._input_shape = split.examples.inputs.shape[1:]
        step_bytes = 4 * global_batch_size * len(seeds)
        self.capacity = max(1, min(most, MOST_STEPS, POSITIONS_BYTES // step_bytes))
        self._whole = NamedSharding(mesh, PartitionSpec())
        self._by_replica = NamedSharding(mesh, PartitionSpec(*mesh.axis_names))
        everything = np.arange(len(split))
        self._examples = place(lambda rows: flat(split.gather(rows)), everything, self._whole)
        self.description = f"resident, {split.nbytes / 1e6:.1f} MB a device"

    def take(self, step: int, steps: int) -> Source:
        """Returns the source of so many steps from `step` (counted from 0) on.

        Its "positions" alone differ between replicas: int32 [replicas, capacity, batch].
        """
        shape = len(self._seeds), self.capacity, self._global_batch_size
        positions = np.zeros(shape, np.int32)
        of_seed = {
            seed: self._split.train_positions(self._global_batch_size, seed, step, steps)
            for seed in set(self._seeds)
        }
        for replica, seed in enumerate(self._seeds):
            positions[replica, :steps] = of_seed[seed].reshape(steps, -1)
        return {
            "steps": send(np.int32(steps), self._whole),
            "positions": send(positions, self._by_replica),
            "examples": self._examples,
        }

    def batch(self, source: Source, index: jax.Array) -> dict[str, jax.Array]:
        """Returns the batches of a step, [replicas, batch, ...], inside a program.

        The source may be that of some of the replicas.
        """
        positions = source["positions"][:, index]
        rows = {
            name: examples.at[positions].get(mode="clip")
            for name, examples in source["examples"].items()
        }
        return unflat(rows, self._input_shape)
