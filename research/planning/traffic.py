"""What a program moves from and to a chip's main memory."""

from collections.abc import Iterable

from research.planning.hlo import HBM, Buffer, Computation, Instruction, Module

_FREE = {
    "after-all", "bitcast", "constant", "get-tuple-element", "parameter", "partition-id",
    "replica-id", "tuple",
}  # fmt: skip

_FREE_CALLS = {"AllocateBuffer", "ConcatBitcast"}


def is_free(instruction: Instruction) -> bool:
    """Whether an instruction does no more than name or arrange what is there."""
    return instruction.opcode in _FREE or instruction.custom_call_target in _FREE_CALLS


def hbm_traffic(instruction: Instruction, computation: Computation, module: Module) -> float:
    """Returns the bytes that an instruction reads from and writes to main memory.

    Of arrays that are sliced or updated in place, also inside fusions, only the
    part counts. What a started copy moves counts where it starts.

    Args:
      instruction: the instruction.
      computation: where it stands.
      module: the program.
    """
    if is_free(instruction) or instruction.opcode.endswith(("-done", "-update")):
        return 0.0
    read = sum(
        _read(instruction, number, _hbm_bytes(computation.instructions[operand].results), module)
        for number, operand in enumerate(instruction.operands)
    )
    if instruction.opcode in ("copy-start", "slice-start"):
        # It names source and target; what is sliced is the larger one.
        ends = [buffer.bytes for buffer in instruction.results if buffer.dims]
        return min(ends, default=0.0) if read or _hbm_bytes(instruction.results) else 0.0
    return read + _written(instruction, computation, module)


def _read(instruction: Instruction, number: int, whole: float, module: Module) -> float:
    """Returns what is read of an operand that has `whole` bytes in main memory."""
    if not whole:
        return 0.0
    if instruction.opcode in ("dynamic-slice", "gather") and number == 0:
        return min(whole, sum(buffer.bytes for buffer in instruction.results))
    if instruction.opcode == "dynamic-update-slice" and number == 0:
        return 0.0
    if instruction.opcode != "fusion":
        return whole
    inside = module.computations[instruction.called["calls"]]
    parameter = inside.parameters.get(number)
    parts = [
        _read(user, place, whole, module)
        for user in (inside.users(parameter) if parameter else ())
        for place, operand in enumerate(user.operands)
        if operand == parameter
    ]
    return min(whole, sum(parts))


def _written(instruction: Instruction, computation: Computation, module: Module) -> float:
    """Returns what is written to main memory."""
    names = (instruction.name,)
    if instruction.opcode == "fusion":
        computation = module.computations[instruction.called["calls"]]
        root = computation.instructions[computation.root]
        names = root.operands if root.opcode == "tuple" else (root.name,)
    if len(names) != len(instruction.results):
        return _hbm_bytes(instruction.results)
    return sum(
        min(_hbm_bytes([result]), _update_bytes(computation, name))
        for result, name in zip(instruction.results, names, strict=True)
    )


def _update_bytes(computation: Computation, name: str) -> float:
    """Returns the size of what is put into an array in place; without end if it is made anew."""
    instruction = computation.instructions[name]
    while instruction.opcode == "bitcast":
        instruction = computation.instructions[instruction.operands[0]]
    if instruction.opcode != "dynamic-update-slice":
        return float("inf")
    return sum(b.bytes for b in computation.instructions[instruction.operands[1]].results)


def _hbm_bytes(buffers: Iterable[Buffer]) -> float:
    return sum(buffer.bytes for buffer in buffers if buffer.memory_space == HBM)
