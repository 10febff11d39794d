"""Which messages a program sends, and along which axes of the mesh."""

import numpy as np
import pytest

from research.planning import collectives, hlo
from tests.planning import programs

SIZE = 8 * 128 * 4


def found(*lines: str, devices: int = 8, computations: str = ""):
    """The collectives of each instruction but the parameter."""
    module = hlo.parse(programs.module(*lines, computations=computations))
    entry = module.computations[module.entry]
    return [collectives.find(i, module, devices) for i in list(entry.instructions.values())[1:]]


def groups(text: str, devices: int = 8) -> list[list[int]]:
    return collectives.replica_groups(f", replica_groups={text}, to_apply=%add", devices).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{0,1},{2,3}}", [[0, 1], [2, 3]]),
        ("{}", [[0, 1, 2, 3, 4, 5, 6, 7]]),
        ("[2,4]<=[8]", [[0, 1, 2, 3], [4, 5, 6, 7]]),
        ("[4,2]<=[2,4]T(1,0)", [[0, 4], [1, 5], [2, 6], [3, 7]]),
        ("[4,2]<=[2,2,2]T(0,2,1)", [[0, 2], [1, 3], [4, 6], [5, 7]]),
        ("mesh['a'=2,'b'=4] {'b'}", [[0, 1, 2, 3], [4, 5, 6, 7]]),
        ("mesh['a'=2,'b'=4] {'a'}", [[0, 4], [1, 5], [2, 6], [3, 7]]),
        ("mesh['a'=2,'b'=2,'c'=2] {'a','c'}", [[0, 1, 4, 5], [2, 3, 6, 7]]),
        ("mesh['a'=8,'b'=1] {'a','b'}", [[0, 1, 2, 3, 4, 5, 6, 7]]),
        ("mesh['a'=8] {'a':(2)2}", [[0, 2], [1, 3], [4, 6], [5, 7]]),
        ("mesh['a'=8] {'a':(1)2,'a':(4)2}", [[0, 1, 4, 5], [2, 3, 6, 7]]),
        ("mesh['a'=2,'b'=2], device_ids=(3,1,0,2) {'a'}", [[3, 0], [1, 2]]),
        ("mesh['a'=2,'b'=2], device_ids=([2,2]T(1,0)) {'b'}", [[0, 2], [1, 3]]),
    ],
)
def test_groups_are_read_in_every_form(text, expected):
    assert groups(text) == expected


def test_a_form_that_is_not_known_is_an_error():
    with pytest.raises(ValueError, match="unknown form"):
        groups("sorted(8)")


@pytest.mark.parametrize(
    ("text", "axes"),
    [("[2,4]<=[8]", ("model",)), ("[4,2]<=[2,4]T(1,0)", ("data",)), ("{}", ("data", "model"))],
)
def test_axes_are_those_along_which_a_groups_members_differ(text, axes):
    found_groups = np.array(groups(text))
    message = collectives.Collective("all-reduce", 0, found_groups, None)
    assert message.axes({"data": 2, "model": 4}) == axes


def test_a_permutation_sends_along_the_axes_that_its_pairs_cross():
    ((message,),) = found(
        "  ROOT %p = f32[8,128]{1,0} collective-permute(%x), channel_id=1, "
        "source_target_pairs={{0,1},{1,0},{2,3},{3,2},{4,4}}"
    )
    assert message.axes({"data": 4, "model": 2}) == ("model",)
    assert message.bytes == SIZE


def test_a_permutation_that_moves_nothing_has_no_axes():
    ((message,),) = found(
        "  ROOT %p = f32[8,128]{1,0} collective-permute(%x), source_target_pairs={{0,0},{1,1}}"
    )
    assert message.axes({"data": 8}) == ()


def test_bytes_are_those_of_the_whole_array():
    given = "replica_groups=[2,4]<=[8], dimensions={0}"
    ((gathered,), (scattered,), (reduced,)) = found(
        f"  %g = f32[32,128]{{1,0}} all-gather(%x), {given}",
        f"  %s = f32[2,128]{{1,0}} reduce-scatter(%x), {given}, to_apply=%add",
        "  ROOT %r = (f32[8,128]{1,0}, f32[8]{0}) all-reduce(%x, %x), replica_groups={}",
    )
    assert (gathered.bytes, scattered.bytes, reduced.bytes) == (4 * SIZE, SIZE, SIZE + 32)


def test_of_a_started_message_the_start_counts_and_the_done_does_not():
    (started, done) = found(
        "  %s = ((f32[8,128]{1,0}), (f32[64,128]{1,0}), u32[]{:S(2)}) all-gather-start(%x), "
        "replica_groups={}, dimensions={0}",
        "  ROOT %d = f32[64,128]{1,0} all-gather-done(%s)",
    )
    assert [message.bytes for message in started] == [8 * SIZE]
    assert done == []


def test_an_all_reduce_of_which_a_fusion_keeps_a_slice_is_a_reduce_scatter():
    fusion = """
%all-reduce-scatter (input: f32[8,128]) -> f32[1,128] {
  %input = f32[8,128]{1,0} parameter(0)
  %sum = f32[8,128]{1,0} all-reduce(%input), channel_id=4, replica_groups={{0,1},{2,3}}
  %zero = u32[] constant(0)
  ROOT %kept = f32[1,128]{1,0} dynamic-slice(%sum, %zero, %zero), dynamic_slice_sizes={1,128}
}
"""
    ((message,),) = found(
        "  ROOT %f = f32[1,128]{1,0} fusion(%x), kind=kCustom, calls=%all-reduce-scatter",
        computations=fusion,
    )
    assert (message.kind, message.bytes, message.group_size) == ("reduce-scatter", SIZE, 2)


def test_what_computes_sends_nothing():
    assert found(programs.kernel("k", "%x"), "  ROOT %y = f32[8,128]{1,0} copy(%k)") == [[], []]
