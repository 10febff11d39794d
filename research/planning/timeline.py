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
from collections.abc import Callable

from research.planning import collectives
from research.planning.collectives import Collective
from research.planning.hlo import Computation, Instruction, Module
from research.planning.traffic import hbm_traffic, is_free

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


@dataclasses.dataclass(frozen=True)
class _Replay:
    module: Module
    num_devices: int
    clock: float
    hbm_bandwidth: float
    message_seconds: Callable[[Collective], float]

    def run(self, name: str) -> Timeline:
        """Replays a computation from its first instruction to its last."""
        computation = self.module.computations[name]
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
            found = collectives.find(instruction, self.module, self.num_devices)
            moved = hbm_traffic(instruction, computation, self.module)
            line.hbm_bytes += moved
            if opcode.endswith("-done"):
                wait(_started_by(instruction, computation))
            elif found:
                self._send(line, instruction, found, start, wait)
            elif opcode.endswith("-start"):
                start(_COPIES, instruction.name, moved / self.hbm_bandwidth)
            self._compute(line, instruction, moved, is_message=bool(found))
        return line

    def _send(self, line, instruction, found, start, wait) -> None:
        """Accounts for the messages that an instruction sends, begins or ends."""
        role = self._role(instruction)
        for collective in found:
            key = instruction.name if role == "start" else collective.channel
            seconds = self.message_seconds(collective)
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
        inside = self.module.computations[instruction.called["calls"]].instructions.values()
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
            times = self.module.trip_count(instruction, within)
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
            line.kernels += instruction.cycles / self.clock
        elif not (is_message or is_free(instruction) or _is_asynchronous(instruction)):
            line.unpriced += moved / self.hbm_bandwidth
            if sum(buffer.bytes for buffer in instruction.results) > _SMALL:
                line.unpriced_opcodes[instruction.custom_call_target or instruction.opcode] += 1


def _started_by(instruction: Instruction, computation: Computation) -> str:
    """Returns the name of the instruction that began what this one ends."""
    name = instruction.operands[0]
    while computation.instructions[name].opcode.endswith("-update"):
        name = computation.instructions[name].operands[0]
    return name


def _is_asynchronous(instruction: Instruction) -> bool:
    return instruction.opcode.endswith(("-start", "-update", "-done"))
