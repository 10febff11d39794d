"""Replays a compiled program: the compiler's schedule, its cycles, and bounds for the rest.

A scheduled program lists its instructions in the order in which the core runs
them. What the core computes takes the cycles that the compiler estimates. What
is started and awaited, messages and copies between memories, goes on beside it;
the core waits where it is done too late. For messages and copies, and for the
few instructions that the compiler gives no estimate for, the time is that of
their bytes at the bandwidth of the data sheet.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable

from research.planning import collectives
from research.planning.collectives import Collective
from research.planning.hlo import HBM, Buffer, Computation, Instruction, Module

_FREE = {
    "after-all", "bitcast", "constant", "get-tuple-element", "parameter", "partition-id",
    "replica-id", "tuple",
}  # fmt: skip
"""Opcodes that name or arrange what is there."""

_FREE_CALLS = {"AllocateBuffer", "ConcatBitcast"}

_SMALL = 4096
"""Bytes of a result (one tile of float32) up to which its cost is beside the point."""

_STARTS, _DONE = "AsyncCollectiveStart", "AsyncCollectiveDone"
"""Custom calls inside fusions that begin and end a message, which other
fusions between them carry on."""


_MESSAGES, _COPIES = "messages_exposed", "copies_exposed"
"""What goes on beside the core, by the field of `Timeline` that counts waiting for it."""


@dataclasses.dataclass(frozen=True)
class Message:
    """A collective of the program, as often as a step sends it.

    Attributes:
      collective: what is sent.
      count: how often in a step.
      seconds: bound of one of them.
      is_async: whether the core may compute meanwhile.
    """

    collective: Collective
    count: int
    seconds: float
    is_async: bool


@dataclasses.dataclass
class Timeline:
    """What one run of a program takes.

    Attributes:
      kernels: seconds, the compiler's cycles.
      unpriced: seconds of instructions without an estimate, by their bytes.
      messages_exposed: seconds in which the core waits for other devices.
      copies_exposed: seconds in which the core waits for copies between memories.
      cycles: the compiler's cycles.
      hbm_bytes: bytes read from and written to the chip's main memory.
      messages: all collectives.
      unpriced_opcodes: opcode -> how many instructions of it have no estimate.
      unknown_loops: loops whose length isn't known; they count once.
    """

    kernels: float = 0.0
    unpriced: float = 0.0
    messages_exposed: float = 0.0
    copies_exposed: float = 0.0
    cycles: int = 0
    hbm_bytes: float = 0.0
    messages: list[Message] = dataclasses.field(default_factory=list)
    unpriced_opcodes: Counter[str] = dataclasses.field(default_factory=Counter)
    unknown_loops: int = 0

    @property
    def seconds(self) -> float:
        """The whole."""
        return self.kernels + self.unpriced + self.messages_exposed + self.copies_exposed

    def add(self, other: "Timeline", times: int = 1) -> None:
        """Adds what a part of the program takes, which is run `times` times."""
        for field in ("kernels", "unpriced", "messages_exposed", "copies_exposed", "cycles",
                      "hbm_bytes"):  # fmt: skip
            setattr(self, field, getattr(self, field) + times * getattr(other, field))
        self.messages += [dataclasses.replace(m, count=m.count * times) for m in other.messages]
        self.unpriced_opcodes += other.unpriced_opcodes
        self.unknown_loops += other.unknown_loops


def replay(
    module: Module,
    num_devices: int,
    clock: float,
    hbm_bandwidth: float,
    message_seconds: Callable[[Collective], float],
) -> Timeline:
    """Returns what one run of a program takes on one of its devices.

    Args:
      module: the program.
      num_devices: how many devices run it together.
      clock: cycles a second.
      hbm_bandwidth: bytes a second of the device's main memory.
      message_seconds: bound of the time of a collective.
    """
    return _Replay(module, num_devices, clock, hbm_bandwidth, message_seconds).run(module.entry)


class _Replay:
    def __init__(self, module, num_devices, clock, hbm_bandwidth, message_seconds):
        self._module = module
        self._num_devices = num_devices
        self._clock = clock
        self._hbm_bandwidth = hbm_bandwidth
        self._message_seconds = message_seconds

    def run(self, name: str) -> Timeline:
        """Replays a computation from its first instruction to its last."""
        computation = self._module.computations[name]
        line = Timeline()
        ends: dict[str | int | None, tuple[str, float]] = {}  # what was started -> when it is there
        free = {_MESSAGES: 0.0, _COPIES: 0.0}  # when the links, and the memory, are free again

        def start(channel: str, key: str | int | None, seconds: float) -> None:
            free[channel] = max(free[channel], line.seconds) + seconds
            ends[key] = channel, free[channel]

        def wait(key: str | int | None) -> None:
            channel, end = ends.pop(key, (_COPIES, 0.0))
            waited = max(0.0, end - line.seconds)
            setattr(line, channel, getattr(line, channel) + waited)

        for instruction in computation.instructions.values():
            opcode = instruction.opcode
            if opcode in ("while", "conditional", "call"):
                self._run_called(line, instruction, computation)
                continue
            found = collectives.find(instruction, self._module, self._num_devices)
            moved = self._hbm_traffic(instruction, computation)
            line.hbm_bytes += moved
            if opcode.endswith("-done"):
                wait(_started_by(instruction, computation))
            elif found:
                self._send(line, instruction, found, start, wait)
            elif opcode.endswith("-start"):
                start(_COPIES, instruction.name, moved / self._hbm_bandwidth)
            self._compute(line, instruction, moved, is_message=bool(found))
        return line

    def _send(self, line, instruction, found, start, wait) -> None:
        """Accounts for the messages that an instruction sends, begins or ends."""
        role = self._role(instruction)
        for collective in found:
            key = instruction.name if role == "start" else collective.channel
            seconds = self._message_seconds(collective)
            if role in ("start", "fused start", "whole"):
                line.messages.append(Message(collective, 1, seconds, is_async=role != "whole"))
                start(_MESSAGES, key, seconds)
            if role in ("whole", "fused done"):
                wait(key)

    def _role(self, instruction: Instruction) -> str:
        if instruction.opcode.endswith("-start"):
            return "start"
        if instruction.opcode != "fusion":
            return "whole"
        inside = self._module.computations[instruction.called["calls"]].instructions.values()
        targets = {member.custom_call_target for member in inside}
        if _STARTS in targets:
            return "fused start"
        if _DONE in targets:
            return "fused done"
        chained = any("chain_id" in m.attributes for m in inside if m.channel is not None)
        return "between" if chained else "whole"

    def _run_called(self, line: Timeline, instruction: Instruction, within: Computation) -> None:
        called = instruction.called
        if instruction.opcode == "while":
            times = self._module.trip_count(instruction, within)
            line.unknown_loops += times is None
            line.add(self.run(called["body"]), 1 if times is None else times)
        elif instruction.opcode == "call":
            line.add(self.run(called["to_apply"]))
        else:
            branches = [self.run(name) for name in called.values()]
            line.add(max(branches, key=lambda branch: branch.seconds))

    def _compute(
        self, line: Timeline, instruction: Instruction, moved: float, is_message: bool
    ) -> None:
        """Accounts for the core's own time."""
        if instruction.cycles is not None:
            line.cycles += instruction.cycles
            line.kernels += instruction.cycles / self._clock
        elif not (is_message or _is_free(instruction) or _is_asynchronous(instruction)):
            line.unpriced += moved / self._hbm_bandwidth
            if sum(buffer.bytes for buffer in instruction.results) > _SMALL:
                line.unpriced_opcodes[instruction.custom_call_target or instruction.opcode] += 1

    def _hbm_traffic(self, instruction: Instruction, computation: Computation) -> float:
        """Returns the bytes that an instruction moves from and to main memory."""
        if _is_free(instruction) or instruction.opcode.endswith(("-done", "-update")):
            return 0.0
        read = sum(
            self._read(instruction, number, _hbm_bytes(computation.instructions[operand].results))
            for number, operand in enumerate(instruction.operands)
        )
        if instruction.opcode in ("copy-start", "slice-start"):
            # One end is main memory, usually; what is sliced is read in part.
            results = [b.bytes for b in instruction.results if b.dims]
            return min(results, default=0.0) if read or _hbm_bytes(instruction.results) else 0.0
        return read + self._written(instruction)

    def _read(self, instruction: Instruction, number: int, whole: float) -> float:
        """Returns what is read of an operand; of one that is sliced, the slices."""
        if not whole:
            return 0.0
        if instruction.opcode in ("dynamic-slice", "gather"):
            return min(whole, sum(b.bytes for b in instruction.results)) if number == 0 else whole
        if instruction.opcode == "dynamic-update-slice" and number == 0:
            return 0.0
        if instruction.opcode != "fusion":
            return whole
        inside = self._module.computations[instruction.called["calls"]]
        parameter = inside.parameters.get(number)
        parts = [
            self._read(user, place, whole)
            for user in (inside.users(parameter) if parameter else ())
            for place, operand in enumerate(user.operands)
            if operand == parameter
        ]
        return min(whole, sum(parts))

    def _written(self, instruction: Instruction) -> float:
        """Returns what is written to main memory; of arrays updated in place, the update."""
        if instruction.opcode == "dynamic-update-slice":
            return 0.0
        if instruction.opcode != "fusion":
            return _hbm_bytes(instruction.results)
        inside = self._module.computations[instruction.called["calls"]]
        root = inside.instructions[inside.root]
        roots = root.operands if root.opcode == "tuple" else (root.name,)
        if len(roots) != len(instruction.results):
            return _hbm_bytes(instruction.results)
        return sum(
            min(_hbm_bytes([result]), _update_bytes(inside, name))
            for result, name in zip(instruction.results, roots, strict=True)
        )


def _update_bytes(fusion: Computation, name: str) -> float:
    """Returns the size of what is put into an array in place; without end if it is made anew."""
    instruction = fusion.instructions[name]
    while instruction.opcode == "bitcast":
        instruction = fusion.instructions[instruction.operands[0]]
    if instruction.opcode != "dynamic-update-slice":
        return float("inf")
    return sum(b.bytes for b in fusion.instructions[instruction.operands[1]].results)


def _started_by(instruction: Instruction, computation: Computation) -> str:
    """Returns the name of the instruction that began what this one ends."""
    name = instruction.operands[0]
    while computation.instructions[name].opcode.endswith("-update"):
        name = computation.instructions[name].operands[0]
    return name


def _is_free(instruction: Instruction) -> bool:
    return instruction.opcode in _FREE or instruction.custom_call_target in _FREE_CALLS


def _is_asynchronous(instruction: Instruction) -> bool:
    return instruction.opcode.endswith(("-start", "-update", "-done"))


def _hbm_bytes(buffers: Iterable[Buffer]) -> float:
    return sum(buffer.bytes for buffer in buffers if buffer.memory_space == HBM)
