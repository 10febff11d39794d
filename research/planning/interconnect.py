"""How long devices of a slice exchange data at least, by the links between them."""

import math

import numpy as np

from research.planning.chips import HOP_SECONDS
from research.planning.collectives import Collective
from research.planning.topologies import Topology

_SENT = {
    "all-reduce": 2.0,  # a reduce-scatter and an all-gather
    "all-gather": 1.0,
    "reduce-scatter": 1.0,
    "all-to-all": 1.0,
    "ragged-all-to-all": 1.0,
    "collective-broadcast": 1.0,
    "collective-permute": 1.0,
}
"""Kind -> how often the array passes a device on its way."""


def message_seconds(collective: Collective, topology: Topology, coordinates: np.ndarray) -> float:
    """Returns a lower bound of the time of a collective.

    Along each dimension of the slice that a group of devices spans it has one
    link, two where the dimension closes to a ring. Of an array of V bytes,
    (N − 1)/N · V has to pass them, twice for an all-reduce; and no message is
    faster than its hops. These are the formulas of the scaling book, part 3
    (https://jax-ml.github.io/scaling-book/sharding/), for each dimension that
    the group spans.

    Args:
      collective: what is exchanged.
      topology: the slice.
      coordinates: int [devices, dimensions], where in the slice the device at a
        position of the mesh is.
    """
    if not collective.groups.size:
        return 0.0
    links, hops = 0, 0
    where = coordinates[collective.groups]  # [groups, devices, dimensions]
    for dimension, whole in enumerate(topology.shape):
        along = where[..., dimension]
        extent = max(len(np.unique(group)) for group in along)
        if extent == 1:
            continue
        ring = extent == whole and extent > 2 and topology.is_ring(dimension)
        links += 2 if ring else 1
        distance = int((along.max(axis=1) - along.min(axis=1)).max())
        hops += math.ceil(whole / 2) if ring else distance
    passes = _SENT[collective.kind]
    if collective.kind != "collective-permute":
        passes *= (collective.group_size - 1) / collective.group_size
    if not links:  # cores of one chip, which share its memory
        return passes * collective.bytes / (topology.chip.hbm_bandwidth / topology.chip.devices)
    bandwidth = links * topology.chip.link_bandwidth / topology.chip.devices
    latency = hops * HOP_SECONDS * math.ceil(passes)
    return max(latency, passes * collective.bytes / bandwidth)
