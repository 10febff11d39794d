"""Replaying schedules: what takes how long, and what waits for what."""

import pytest

from research.planning import hlo
from research.planning.timeline import replay
from tests.planning import programs
from tests.planning.programs import kernel

SIZE = 8 * 128 * 4
MESSAGE = 5e-6
CLOCK = 1e9


def timeline(text: str, message: float = MESSAGE, bandwidth: float = 1e12):
    return replay(hlo.parse(text), 8, CLOCK, bandwidth, lambda _: message)


def start(name: str = "s") -> str:
    return (
        f"  %{name} = (f32[8,128]{{1,0:S(1)}}, f32[8,128]{{1,0:S(1)}}, u32[]) "
        "all-reduce-start(%k0), replica_groups={}"
    )


def done(name: str = "d", of: str = "s") -> str:
    return f"  %{name} = f32[8,128]{{1,0:S(1)}} all-reduce-done(%{of})"


def test_kernels_take_the_compilers_cycles():
    found = timeline(programs.module(kernel("k0", "%x", 3000), kernel("k1", "%k0", 500)))
    assert found.cycles == 3500
    assert found.kernels == pytest.approx(3.5e-6)
    assert found.seconds == pytest.approx(3.5e-6)


def test_a_loops_body_counts_as_often_as_it_runs():
    once, thrice = (timeline(programs.loop(kernel("k", "%y", 700), stop=n)) for n in (1, 3))
    assert (once.cycles, thrice.cycles) == (700, 2100)
    assert thrice.kernels == pytest.approx(3 * once.kernels)


def test_messages_in_a_loop_are_sent_as_often_as_it_runs():
    body = "  %sum = f32[8,128]{1,0:S(1)} all-reduce(%y), replica_groups={}"
    found = timeline(programs.loop(body, stop=6))
    assert [message.count for message in found.messages] == [6]
    assert found.messages_exposed == pytest.approx(6 * MESSAGE)


def test_a_loop_of_unknown_length_counts_once_and_is_told():
    text = programs.loop(kernel("k", "%y", 700)).replace("direction=LT", "direction=NE")
    found = timeline(text)
    assert (found.cycles, found.unknown_loops) == (700, 1)


def test_of_branches_the_longest_counts():
    branches = "".join(
        f"\n%{name} (p_{name}: f32[8,128]) -> f32[8,128] {{\n"
        f"  %p_{name} = f32[8,128]{{1,0:S(1)}} parameter(0)\n"
        f"{kernel('k_' + name, '%p_' + name, cycles)}\n}}\n"
        for name, cycles in (("short", 100), ("long", 900))
    )
    found = timeline(
        programs.module(
            "  ROOT %c = f32[8,128]{1,0} conditional(%x, %x, %x), "
            "branch_computations={%short, %long}",
            computations=branches,
        )
    )
    assert found.cycles == 900


def test_a_message_that_nothing_runs_beside_is_waited_for_in_full():
    found = timeline(
        programs.module(
            kernel("k0", "%x", 1000),
            "  ROOT %r = f32[8,128]{1,0:S(1)} all-reduce(%k0), replica_groups={}",
        )
    )
    assert found.messages_exposed == pytest.approx(MESSAGE)
    assert [message.is_async for message in found.messages] == [False]


@pytest.mark.parametrize(("cycles", "exposed"), [(0, 5e-6), (2000, 3e-6), (9000, 0)])
def test_a_started_message_goes_on_beside_kernels(cycles, exposed):
    found = timeline(
        programs.module(kernel("k0", "%x"), start(), kernel("k1", "%k0", cycles), done())
    )
    assert found.messages_exposed == pytest.approx(exposed)
    assert [message.is_async for message in found.messages] == [True]


def test_messages_go_one_after_the_other():
    found = timeline(
        programs.module(kernel("k0", "%x"), start("s"), start("t"), done("d", "s"), done("e", "t"))
    )
    assert found.messages_exposed == pytest.approx(2 * MESSAGE)


def test_a_message_that_fusions_carry_on_is_one_message():
    def fusion(name, target):
        root = f"  ROOT %c_{name} = f32[8,128]{{1,0}}"
        call = f'{root} custom-call(%g_{name}), custom_call_target="{target}"'
        keep = f"{root} add(%p_{name}, %p_{name})"
        return (
            f"\n%{name} (p_{name}: f32[8,128]) -> f32[8,128] {{\n"
            f"  %p_{name} = f32[8,128]{{1,0:S(1)}} parameter(0)\n"
            f"  %g_{name} = f32[64,128]{{1,0:S(1)}} all-gather(%p_{name}), channel_id=7, "
            'replica_groups={}, dimensions={0}, frontend_attributes={chain_id="0"}\n'
            f"{call if target else keep}\n}}\n"
        )

    def run(name, operand, cycles=None):
        config = f', backend_config={{"estimated_cycles":"{cycles}"}}' if cycles else ""
        return f"  %{name} = f32[8,128]{{1,0:S(1)}} fusion(%{operand}), calls=%in_{name}{config}"

    found = timeline(
        programs.module(
            kernel("k0", "%x", 1000),
            run("begin", "k0"),
            run("between", "begin", 4000),
            run("end", "between"),
            computations=fusion("in_begin", "AsyncCollectiveStart")
            + fusion("in_between", "")
            + fusion("in_end", "AsyncCollectiveDone"),
        )
    )
    assert len(found.messages) == 1
    assert found.messages[0].is_async
    assert found.messages_exposed == pytest.approx(MESSAGE - 4e-6)


def test_a_copy_is_waited_for_at_the_bandwidth_of_main_memory():
    found = timeline(
        programs.module(
            "  %s = (f32[8,128]{1,0:S(1)}, f32[8,128]{1,0}, u32[]{:S(2)}) copy-start(%x)",
            kernel("k0", "", 1000),
            "  ROOT %d = f32[8,128]{1,0:S(1)} copy-done(%s)",
        ),
        bandwidth=SIZE / 3e-6,
    )
    assert found.hbm_bytes == SIZE
    assert found.copies_exposed == pytest.approx(2e-6)
    assert found.messages_exposed == 0


def test_what_has_no_estimate_takes_its_main_memory_traffic_and_is_told():
    found = timeline(
        programs.module("  ROOT %s = f32[16,128]{1,0} select-and-scatter(%x, %x)"), bandwidth=1e9
    )
    assert found.hbm_bytes == 4 * SIZE  # read twice, written once at twice the size
    assert found.unpriced == pytest.approx(4 * SIZE / 1e9)
    assert found.unpriced_opcodes == {"select-and-scatter": 1}


def test_what_stays_on_the_chip_is_no_traffic():
    found = timeline(programs.module(kernel("k0", "%x"), kernel("k1", "%k0"), kernel("k2", "%k1")))
    assert found.hbm_bytes == SIZE


PART = 128 * 4
IN_PLACE = """
%in_place (old: f32[8,128], row: f32[1,128], i: s32[]) -> f32[8,128] {
  %old = f32[8,128]{1,0} parameter(0)
  %row = f32[1,128]{1,0:S(1)} parameter(1)
  %i = s32[]{:S(6)} parameter(2)
  ROOT %new = f32[8,128]{1,0} dynamic-update-slice(%old, %row, %i, %i)
}
"""


@pytest.mark.parametrize(
    "update",
    ["dynamic-update-slice(%x, %part, %at, %at)", "fusion(%x, %part, %at), calls=%in_place"],
)
def test_of_an_array_that_is_sliced_or_updated_in_place_the_part_counts(update):
    found = timeline(
        programs.module(
            "  %at = s32[]{:S(6)} constant(0)",
            "  %part = f32[1,128]{1,0:S(1)} dynamic-slice(%x, %at, %at)",
            f"  ROOT %updated = f32[8,128]{{1,0}} {update}",
            computations=IN_PLACE,
        )
    )
    assert found.hbm_bytes == 2 * PART


def test_what_a_fusion_slices_deep_inside_counts_in_part():
    inner = """
%inner (whole: f32[8,128], j: s32[]) -> f32[1,128] {
  %whole = f32[8,128]{1,0} parameter(0)
  %j = s32[]{:S(6)} parameter(1)
  ROOT %cut = f32[1,128]{1,0} dynamic-slice(%whole, %j, %j)
}

%outer (all: f32[8,128], k: s32[]) -> f32[1,128] {
  %all = f32[8,128]{1,0} parameter(0)
  %k = s32[]{:S(6)} parameter(1)
  ROOT %deep = f32[1,128]{1,0} fusion(%all, %k), kind=kLoop, calls=%inner
}
"""
    found = timeline(
        programs.module(
            "  %at = s32[]{:S(6)} constant(0)",
            "  ROOT %part = f32[1,128]{1,0:S(1)} fusion(%x, %at), kind=kLoop, calls=%outer",
            computations=inner,
        )
    )
    assert found.hbm_bytes == PART
