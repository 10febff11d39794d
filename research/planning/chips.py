"""What is published about the chips: the one table that every bound rests on."""

import dataclasses
from collections.abc import Mapping
from typing import Any

GIB = 2**30

SCALING_BOOK = "https://jax-ml.github.io/scaling-book/tpus/"
"""J. Austin et al., "How to Scale Your Model", part 2: one-way bandwidth of a
link, which axes of a slice are rings."""

HOP_SECONDS = 1e-6
"""What a hop between neighbours takes, however short the message
(https://jax-ml.github.io/scaling-book/sharding/, "A note on ICI latency")."""


@dataclasses.dataclass(frozen=True)
class Chip:
    """A generation of TPU; figures are of one chip.

    Attributes:
      name: as in `--topology=NAME:SHAPE`.
      devices: devices that JAX shows for a chip.
      peak_flops: bfloat16 floating-point operations a second.
      hbm_bytes: capacity of its memory.
      hbm_bandwidth: bytes a second between memory and core.
      links: ports to neighbouring chips.
      link_bandwidth: bytes a second through one link in one direction.
      flops_per_cycle: bfloat16 operations that all matrix units finish in a
        cycle of the compiler's cost model.
      shapes: the slices on offer; empty where a rule of cubes holds instead.
      largest: the longest slice along each dimension.
      source: the page of the data sheet.
      libtpu_name: the compiler's name of the chip.
      libtpu_options: what the compiler has to be told beside the shape.
    """

    name: str
    devices: int
    peak_flops: float
    hbm_bytes: float
    hbm_bandwidth: float
    links: int
    link_bandwidth: float
    flops_per_cycle: int
    shapes: tuple[str, ...]
    largest: tuple[int, ...]
    source: str
    libtpu_name: str
    libtpu_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def clock(self) -> float:
        """Cycles a second: the rate at which the matrix units reach the peak.

        Google publishes no clock but v5e's, 1.5 GHz (in the scaling book), which
        this gives, too. That the compiler counts in the same cycles is tested:
        its estimate of a large matrix product comes near the peak and never
        passes it.
        """
        return self.peak_flops / self.flops_per_cycle


_PLANE = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")

_ALL = (
    Chip(
        name="v4",
        devices=1,
        peak_flops=275e12,
        hbm_bytes=32 * GIB,
        hbm_bandwidth=1200e9,
        links=6,
        link_bandwidth=45e9,
        flops_per_cycle=2 * 4 * 128 * 128 * 2,  # cores × units × array × multiply and add
        shapes=(),
        largest=(16, 16, 16),
        source="https://cloud.google.com/tpu/docs/v4",
        libtpu_name="v4",
        libtpu_options={"chip_config_name": "megacore"},  # both cores as one device
    ),
    Chip(
        name="v5e",
        devices=1,
        peak_flops=197e12,
        hbm_bytes=16 * GIB,
        hbm_bandwidth=819e9,
        links=4,
        link_bandwidth=50e9,
        flops_per_cycle=4 * 128 * 128 * 2,
        shapes=_PLANE,
        largest=(16, 16),
        source="https://cloud.google.com/tpu/docs/v5e",
        libtpu_name="v5e",
    ),
    Chip(
        name="v5p",
        devices=1,
        peak_flops=459e12,
        hbm_bytes=95 * GIB,
        hbm_bandwidth=2765e9,
        links=6,
        link_bandwidth=100e9,
        flops_per_cycle=2 * 4 * 128 * 128 * 2,
        shapes=(),
        largest=(16, 16, 24),
        source="https://cloud.google.com/tpu/docs/v5p",
        libtpu_name="v5p",
    ),
    Chip(
        name="v6e",
        devices=1,
        peak_flops=918e12,
        hbm_bytes=32 * GIB,
        hbm_bandwidth=1638e9,
        links=4,
        link_bandwidth=100e9,
        # Of two units of 256 × 256 the compiler expects two results a cycle.
        flops_per_cycle=2 * 2 * 256 * 256 * 2,
        shapes=_PLANE,
        largest=(16, 16),
        source="https://cloud.google.com/tpu/docs/v6e",
        libtpu_name="v6e",
    ),
    Chip(
        name="v7x",
        devices=2,
        peak_flops=2307e12,
        hbm_bytes=192 * GIB,
        hbm_bandwidth=7380e9,
        links=6,
        link_bandwidth=100e9,
        flops_per_cycle=2 * 2 * 2 * 256 * 256 * 2,
        shapes=(),
        largest=(16, 24, 24),
        source="https://cloud.google.com/tpu/docs/tpu7x",
        libtpu_name="tpu7x",
    ),
)

CHIPS = {chip.name: chip for chip in _ALL}
"""Name -> chip. `source` gives peak, memory and the bandwidth of all links in
both directions (v5e 400, v5p 1200, v6e 800, v7x 1200 GB/s a chip), which
`links` × 2 × `link_bandwidth` adds up to; v4's is the scaling book's."""
