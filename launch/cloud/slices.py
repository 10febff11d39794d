"""What the names of Cloud TPU slices stand for: v5litepod-16 is 16 chips on 4 hosts.

Sources: https://cloud.google.com/tpu/docs/v4, /v5e, /v5p, /v6e (sizes, topologies,
hosts), /runtimes (runtime versions); GKE's labels:
https://cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus.
"""

import dataclasses
import re
from collections.abc import Mapping
from types import MappingProxyType

from research.errors import UserError, suggestion

_CHIPS_OF_A_LARGE_HOST = 8  # up to so many chips of v5e and v6e hang on one host
_FLAT = {1: "1x1", 4: "2x2", 8: "2x4", 16: "4x4", 32: "4x8", 64: "8x8", 128: "8x16", 256: "16x16"}
_CUBIC = {
    4: "2x2x1",
    8: "2x2x2",
    16: "2x2x4",
    32: "2x4x4",
    64: "4x4x4",
    128: "4x4x8",
    256: "4x8x8",
    512: "8x8x8",
    1024: "8x8x16",
    2048: "8x16x16",
}
_V5P_ALONE = {4096: "16x16x16", 6144: "16x16x24"}


@dataclasses.dataclass(frozen=True)
class Generation:
    """A generation of TPU as the Cloud TPU API names it.

    Attributes:
      prefix: of its accelerator types; the number that follows counts chips for
        v5litepod and v6e, TensorCores for v4 and v5p.
      cores_per_chip: how much that number grows with a chip.
      runtime_version: the image of its hosts.
      gke_accelerator: value of the node label cloud.google.com/gke-tpu-accelerator.
      topologies: chips -> topology.
    """

    prefix: str
    cores_per_chip: int
    runtime_version: str
    gke_accelerator: str
    topologies: Mapping[int, str]


GENERATIONS = MappingProxyType(
    {
        generation.prefix: generation
        for generation in (
            Generation("v4", 2, "tpu-ubuntu2204-base", "tpu-v4-podslice", _CUBIC),
            Generation("v5litepod", 1, "v2-alpha-tpuv5-lite", "tpu-v5-lite-podslice", _FLAT),
            Generation("v5p", 2, "v2-alpha-tpuv5", "tpu-v5p-slice", _CUBIC | _V5P_ALONE),
            Generation("v6e", 1, "v2-alpha-tpuv6e", "tpu-v6e-slice", _FLAT),
        )
    }
)


@dataclasses.dataclass(frozen=True)
class SliceType:
    """An accelerator type.

    Attributes:
      name: such as "v5litepod-16".
      chips: in the whole slice.
      hosts: virtual machines, each running one process.
    """

    name: str
    generation: Generation
    chips: int
    hosts: int

    @property
    def topology(self) -> str:
        """How the chips are arranged, such as "4x4"."""
        return self.generation.topologies[self.chips]


def parse_type(name: str) -> SliceType:
    """Returns the slice that an accelerator type names.

    Raises:
      UserError: if there is no such type, with the nearest one.
    """
    prefix, _, size = name.partition("-")
    generation = GENERATIONS.get(prefix)
    chips = int(size) // generation.cores_per_chip if generation and size.isdecimal() else 0
    if generation is None or chips not in generation.topologies or name != _name(generation, chips):
        raise UserError(f"--type: {_refusal(name, generation)}")
    large_host = generation.topologies is _FLAT and chips <= _CHIPS_OF_A_LARGE_HOST
    return SliceType(name, generation, chips, hosts=1 if large_host else chips // 4)


def _name(generation: Generation, chips: int) -> str:
    return f"{generation.prefix}-{chips * generation.cores_per_chip}"


def _refusal(name: str, generation: Generation | None) -> str:
    if re.match(r"(tpu)?v?7", name):
        return f"{name}: the Cloud TPU API ends with v6e"
    listed = [generation] if generation else list(GENERATIONS.values())
    names = [_name(each, chips) for each in listed for chips in each.topologies]
    spelled = name.removeprefix("tpu-").replace("v5e", "v5litepod")
    hint = suggestion(spelled, names) if name else ""
    given = f"no accelerator type {name!r}" if name else "give an accelerator type"
    shown = ", ".join(names) if generation else "v5litepod-8, v6e-8, v5p-8, v4-8"
    return f"{given}.{hint} {'There are' if generation else 'For example'}: {shown}"
