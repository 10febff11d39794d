"""Reading compiled programs."""

import pytest

from research.planning import hlo
from tests.planning import programs


def instruction(line: str) -> hlo.Instruction:
    module = hlo.parse(programs.module(f"  ROOT {line}"))
    entry = module.computations[module.entry]
    return entry.instructions[entry.root]


def trips(text: str) -> int | None:
    module = hlo.parse(text)
    entry = module.computations[module.entry]
    return module.trip_count(entry.instructions["loop"], entry)


def test_an_instruction_is_name_opcode_results_and_operands():
    found = instruction('%sum.1 = f32[8,128]{1,0:T(8,128)} add(%x, %x), metadata={op_name="a(b)"}')
    assert (found.name, found.opcode, found.operands) == ("sum.1", "add", ("x", "x"))
    assert found.results == (hlo.Buffer("f32", (8, 128), hlo.HBM),)


def test_results_of_a_tuple_are_listed_one_after_the_other():
    found = instruction(
        "%t = ((f32[8,128]{1,0}), bf16[4]{0:T(256)(2,1)S(1)}, /*index=2*/u32[]{:S(2)}) start(%x)"
    )
    assert [(b.dtype, b.dims, b.memory_space) for b in found.results] == [
        ("f32", (8, 128), 0),
        ("bf16", (4,), 1),
        ("u32", (), 2),
    ]


@pytest.mark.parametrize(
    ("text", "size"),
    [("f32[8,128]", 4096), ("bf16[3]", 6), ("pred[5]", 5), ("s4[6]", 3), ("u8[]", 1),
     ("f8e4m3fn[7]", 7), ("c64[2]", 16), ("token[]", 0), ("f32[0,4]", 0)],
)  # fmt: skip
def test_a_buffer_has_the_bytes_of_its_elements(text, size):
    assert instruction(f"%y = {text} f(%x)").results[0].bytes == size


def test_an_estimate_is_found_and_its_absence_told_from_zero():
    assert instruction(programs.kernel("k", "%x", 1234).strip()).cycles == 1234
    assert instruction("%y = f32[8,128]{1,0} add(%x, %x)").cycles is None


def test_called_computations_are_found_under_their_names():
    found = instruction("%y = f32[] conditional(%x, %x), branch_computations={%left, %right}")
    assert found.called == {"branch_0": "left", "branch_1": "right"}


@pytest.mark.parametrize(
    ("start", "stop", "step", "expected"),
    [(0, 4, 1, 4), (3, 10, 1, 7), (0, 10, 4, 3), (5, 5, 1, 0)],
)
def test_a_loop_that_counts_runs_as_often_as_it_counts(start, stop, step, expected):
    assert trips(programs.loop("", start, stop, step)) == expected


def test_what_the_compiler_says_of_a_loop_comes_first():
    config = ', backend_config={"known_trip_count":{"n":"9"}}'
    assert trips(programs.loop("", stop=4, config=config)) == 9


@pytest.mark.parametrize(
    "change", [("direction=LT", "direction=NE"), ("add(%i_copy", "multiply(%i_copy")]
)
def test_the_length_of_any_other_loop_is_not_guessed(change):
    assert trips(programs.loop("").replace(*change)) is None


def test_a_text_without_an_entry_is_refused():
    with pytest.raises(ValueError, match="ENTRY"):
        hlo.parse("HloModule nothing\n")
