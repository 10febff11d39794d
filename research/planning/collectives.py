"""Messages between devices: which ones a program sends, along which mesh axes."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from research.planning.hlo import Computation, Instruction, Module

KINDS = (
    "all-gather",
    "all-reduce",
    "all-to-all",
    "collective-broadcast",
    "collective-permute",
    "ragged-all-to-all",
    "reduce-scatter",
)


@dataclasses.dataclass(frozen=True)
class Collective:
    """One message.

    Attributes:
      kind: one of `KINDS`.
      bytes: of the whole array that is reduced, gathered or moved, as one
        device sees it: the larger of what it gives and what it gets.
      groups: int [groups, devices]: positions in the mesh, flattened, of those
        that exchange; for a permutation its [pairs, 2] of sources and targets.
      channel: shared by all instructions that work on one message.
    """

    kind: str
    bytes: float
    groups: np.ndarray
    channel: int | None

    def axes(self, mesh_shape: Mapping[str, int]) -> tuple[str, ...]:
        """Returns the mesh axes along which it sends."""
        if not self.groups.size:
            return ()
        coordinates = np.unravel_index(self.groups, tuple(mesh_shape.values()))
        return tuple(
            axis
            for axis, along in zip(mesh_shape, coordinates, strict=True)
            if (along != along[:, :1]).any()
        )

    @property
    def group_size(self) -> int:
        """How many devices exchange with each other."""
        return self.groups.shape[1] if self.groups.size else 1


def find(instruction: Instruction, module: Module, num_devices: int) -> list[Collective]:
    """Returns the collectives that an instruction is, or has inside.

    A fusion may hold one; of a pair of start and done the start is it.
    """
    kind = instruction.opcode.removesuffix("-start")
    if kind in KINDS:
        return [_collective(kind, instruction, num_devices)]
    called = instruction.called.get("calls")
    if called is None or instruction.opcode.endswith(("-done", "-update")):
        return []
    inside = module.computations[called]
    return [
        dataclasses.replace(found, kind=_kind_within(found.kind, member, inside))
        for member in inside.instructions.values()
        for found in find(member, module, num_devices)
    ]


def _kind_within(kind: str, instruction: Instruction, fusion: Computation) -> str:
    """An all-reduce of which a fusion keeps a slice is a reduce-scatter."""
    users = fusion.users(instruction.name)
    if kind == "all-reduce" and users and all(u.opcode == "dynamic-slice" for u in users):
        return "reduce-scatter"
    return kind


def _collective(kind: str, instruction: Instruction, num_devices: int) -> Collective:
    if kind == "collective-permute":
        groups = _pairs(instruction.attributes)
    else:
        groups = replica_groups(instruction.attributes, num_devices)
    arrays = [buffer.bytes for buffer in instruction.results]
    if instruction.opcode.endswith("-start") and kind != "all-reduce":
        # The tuple holds what is given, what will be got, and flags, which are scalars.
        arrays = [buffer.bytes for buffer in instruction.results if buffer.dims]
        half = len(arrays) // 2
        size = max(sum(arrays[:half]), sum(arrays[half:]))
    else:
        size = sum(arrays)
    if kind == "reduce-scatter":
        size *= groups.shape[1]
    return Collective(kind, size, groups, instruction.channel)


def replica_groups(attributes: str, num_devices: int) -> np.ndarray:
    """Returns an instruction's groups, int [groups, devices].

    They are written as lists, `{{0,1},{2,3}}`; as a reshaped and transposed
    count, `[2,2]<=[2,2]T(1,0)`; or as axes of a mesh, `mesh['a'=2,'b'=2] {'b'}`,
    of which `'a':(2)4` means a part. No groups at all mean one of all devices.

    Raises:
      ValueError: if they are written in another way.
    """
    everyone = np.arange(num_devices)[np.newaxis]
    start = attributes.find("replica_groups=")
    if start < 0:
        return everyone
    text = attributes[start + len("replica_groups=") :]
    if text.startswith("{}"):
        return everyone
    if text.startswith("{{"):
        return _lists(text)
    if text.startswith("["):
        shape, counted = re.match(r"\[([\d,]+)\]<=(\S+)", text).groups()
        return _counted(counted).reshape(_integers(shape))
    if match := re.match(r"@?mesh[\[<](.*?)[\]>](?:, ?device_ids=\((.*?\)?)\))? \{(.*?)\}", text):
        return _mesh_groups(*match.groups())
    raise ValueError(f"unknown form of replica groups: {text[:80]}")


def _pairs(attributes: str) -> np.ndarray:
    """Returns sources and targets, int [pairs, 2], without those that stay."""
    pairs = _lists(attributes.partition("source_target_pairs=")[2])
    return pairs[pairs[:, 0] != pairs[:, 1]]


def _lists(text: str) -> np.ndarray:
    inside = text[: text.index("}}")]
    return np.array([_integers(group) for group in re.findall(r"[\d,]*\d", inside)])


def _integers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def _counted(text: str) -> np.ndarray:
    """Returns what "[4,2]T(1,0)" counts: positions, flattened."""
    shape, permutation = re.match(r"\[([\d,]+)\](?:T\(([\d,]+)\))?", text).groups()
    sizes = _integers(shape)
    count = np.arange(math.prod(sizes)).reshape(sizes)
    return (count.transpose(_integers(permutation)) if permutation else count).ravel()


def _mesh_groups(axes: str, device_ids: str | None, chosen: str) -> np.ndarray:
    """Returns the groups that lie along the chosen axes of a mesh."""
    sizes = {name: int(size) for name, size in re.findall(r"'?(\w+)'?=(\d+)", axes)}
    parts = re.findall(r"'?(\w+)'?(?::\((\d+)\)(\d+))?", chosen)
    shape, along = _split_axes(sizes, parts)
    if device_ids is None:
        ids = np.arange(math.prod(shape))
    else:
        ids = _counted(device_ids) if "[" in device_ids else np.array(_integers(device_ids))
    across = [i for i in range(len(shape)) if i not in along]
    group = math.prod(shape[i] for i in along)
    return ids.reshape(shape).transpose(*across, *along).reshape(-1, group)


def _split_axes(
    sizes: Mapping[str, int], parts: Sequence[tuple[str, str, str]]
) -> tuple[list[int], list[int]]:
    """Cuts axes where parts of them begin and end.

    Args:
      sizes: axis -> its size.
      parts: (axis, "", "") for a whole one, (axis, "2", "4") for four steps
        between the outer two and the inner rest.

    Returns:
      The sizes of all cut axes, and the positions of the chosen ones among them.
    """
    cuts = {name: {1, size} for name, size in sizes.items()}
    for name, before, size in parts:
        if before:
            cuts[name] |= {int(before), int(before) * int(size)}
    shape: list[int] = []
    position: dict[tuple[str, int], int] = {}  # (axis, what lies before) -> where
    for name in sizes:
        edges = sorted(cuts[name])
        for low, high in zip(edges, edges[1:], strict=False):
            position[name, low] = len(shape)
            shape.append(high // low)
    along = []
    for name, before, size in parts:
        low, high = (int(before), int(before) * int(size)) if before else (1, sizes[name])
        along += [
            place for (axis, edge), place in position.items() if axis == name and low <= edge < high
        ]
    return shape, along
