"""Reads the text of a compiled program: XLA's optimised, scheduled HLO."""

import dataclasses
import functools
import math
import re
from collections.abc import Mapping

HBM = 0
"""Memory space of a buffer whose layout names none; the others are on the chip
(on a TPU, 1 is vector memory)."""

_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"\s+(ROOT )?%?([\w.\-]+) = ")
_OPCODE = re.compile(r"\s*([\w\-]+)\(")
_BUFFER = re.compile(r"(\w+)\[([^\]]*)\](?:\{([^}]*)\})?")
_CALLED = re.compile(
    r"\b(calls|body|condition|to_apply|true_computation|false_computation)=%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_COMMENT = re.compile(r"/\*.*?\*/")


@dataclasses.dataclass(frozen=True)
class Buffer:
    """An array that an instruction writes.

    Attributes:
      dtype: XLA's name of the type of elements.
      dims: sizes of the dimensions.
      memory_space: where it lives; see `HBM`.
    """

    dtype: str
    dims: tuple[int, ...]
    memory_space: int

    @property
    def bytes(self) -> float:
        """Bytes of its elements, without padding; 0 of what is no array."""
        bits = re.match(r"(?:bf|[fsuc])(\d+)", self.dtype)
        width = int(bits[1]) / 8 if bits else float(self.dtype == "pred")
        return width * math.prod(self.dims)


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a computation.

    Attributes:
      name: unique in the module.
      opcode: what it does.
      results: the arrays it writes; a tuple's, one after the other.
      operands: names of the instructions whose results it reads.
      argument: what stands in the parentheses: a constant's value, a parameter's number.
      attributes: the rest of the line.
    """

    name: str
    opcode: str
    results: tuple[Buffer, ...]
    operands: tuple[str, ...]
    argument: str
    attributes: str

    @functools.cached_property
    def called(self) -> dict[str, str]:
        """Attribute, such as "body", -> the computation that it names."""
        found = dict(_CALLED.findall(self.attributes))
        if branches := _BRANCHES.search(self.attributes):
            names = [name.strip().lstrip("%") for name in branches[1].split(",")]
            found |= {f"branch_{i}": name for i, name in enumerate(names)}
        return found

    @functools.cached_property
    def cycles(self) -> int | None:
        """The compiler's estimate of its duration; None if it makes none."""
        found = re.search(r'"estimated_cycles":"(\d+)"', self.attributes)
        return int(found[1]) if found else None

    @functools.cached_property
    def custom_call_target(self) -> str:
        """What a custom call calls, "" for other instructions."""
        found = re.search(r'custom_call_target="([^"]*)"', self.attributes)
        return found[1] if found else ""

    @functools.cached_property
    def channel(self) -> int | None:
        """The channel of a collective: all instructions of one share it."""
        found = re.search(r"channel_id=(\d+)", self.attributes)
        return int(found[1]) if found else None


@dataclasses.dataclass(frozen=True)
class Computation:
    """Instructions in the order in which they are run.

    Attributes:
      name: its name.
      instructions: name -> instruction.
      root: the name of the one whose result is the computation's.
    """

    name: str
    instructions: Mapping[str, Instruction]
    root: str

    @functools.cached_property
    def parameters(self) -> dict[int, str]:
        """Number of a parameter -> its name."""
        return {
            int(instruction.argument): instruction.name
            for instruction in self.instructions.values()
            if instruction.opcode == "parameter"
        }

    def users(self, name: str) -> list[Instruction]:
        """Returns the instructions that read what `name` writes."""
        return [i for i in self.instructions.values() if name in i.operands]


@dataclasses.dataclass(frozen=True)
class Module:
    """A program: computations by name, and the one that is run.

    Attributes:
      computations: name -> computation.
      entry: the name of the one that is run.
    """

    computations: Mapping[str, Computation]
    entry: str

    def trip_count(self, loop: Instruction, within: Computation) -> int | None:
        """Returns how often the body of a `while` is run, None if it isn't clear.

        XLA writes it down or not. If not, it is read off a loop that counts from
        a constant to a constant by a constant, as JAX's loops do.

        Args:
          loop: the `while`.
          within: the computation that it stands in.
        """
        if known := re.search(r'known_trip_count":\{"n":"(\d+)"', loop.attributes):
            return int(known[1])
        condition = self.computations[loop.called["condition"]]
        test = condition.instructions[condition.root]
        if test.opcode != "compare" or "direction=LT" not in test.attributes:
            return None
        counter = condition.instructions[test.operands[0]]
        if counter.opcode != "get-tuple-element":
            return None
        index = int(re.search(r"index=(\d+)", counter.attributes)[1])
        body = self.computations[loop.called["body"]]
        added = _origin(body, body.instructions[body.root].operands[index])
        first = _origin(within, _origin(within, loop.operands[0]).operands[index])
        steps = [_constant(_origin(body, name)) for name in added.operands]
        step = next((value for value in steps if value is not None), None)
        start, stop = _constant(first), _constant(_origin(condition, test.operands[1]))
        if added.opcode != "add" or None in (start, stop) or not step or step < 0:
            return None
        return max(0, math.ceil((stop - start) / step))


def _origin(computation: Computation, name: str) -> Instruction:
    """Returns the instruction whose value `name` is a copy of."""
    instruction = computation.instructions[name]
    while instruction.opcode in ("copy", "bitcast"):
        instruction = computation.instructions[instruction.operands[0]]
    return instruction


def _constant(instruction: Instruction) -> int | None:
    """Returns the value of an integer constant, None of any other instruction."""
    value = instruction.argument if instruction.opcode == "constant" else ""
    return int(value) if re.fullmatch(r"-?\d+", value) else None


def parse(text: str) -> Module:
    """Returns the module of a compiled program's text.

    Raises:
      ValueError: if the text is not that of a module.
    """
    computations: dict[str, Computation] = {}
    entry = name = root = ""
    instructions: dict[str, Instruction] = {}
    for line in text.splitlines():
        if not name:
            if header := _COMPUTATION.match(line):
                name, root, instructions = header[2], "", {}
                entry = name if header[1] else entry
        elif line.startswith("}"):
            computations[name] = Computation(name, instructions, root)
            name = ""
        elif start := _INSTRUCTION.match(line):
            instruction = _instruction(start[2], _COMMENT.sub("", line[start.end() :]))
            instructions[instruction.name] = instruction
            root = instruction.name if start[1] else root
    if not entry:
        raise ValueError("no ENTRY computation in the text of the program")
    return Module(computations, entry)


def _instruction(name: str, text: str) -> Instruction:
    """Parses "TYPE OPCODE(OPERANDS), ATTRIBUTES"."""
    end = _closing(text, 0) + 1 if text.startswith("(") else text.index(" ")
    opcode = _OPCODE.match(text, end)
    close = _closing(text, opcode.end() - 1)
    argument = text[opcode.end() : close]
    return Instruction(
        name=name,
        opcode=opcode[1],
        results=tuple(map(_buffer, _BUFFER.finditer(text[:end]))),
        operands=tuple(re.findall(r"%([\w.\-]+)", argument)),
        argument=argument,
        attributes=text[close + 1 :],
    )


def _closing(text: str, start: int) -> int:
    """Returns where the parenthesis that opens at `start` is closed."""
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if not depth:
            return i
    raise ValueError(f"unbalanced parentheses in {text[:80]!r}")


def _buffer(match: re.Match) -> Buffer:
    space = re.search(r"S\((\d+)\)", match[3] or "")
    return Buffer(
        dtype=match[1],
        dims=tuple(int(size.lstrip("<=")) for size in match[2].split(",") if size),
        memory_space=int(space[1]) if space else HBM,
    )
