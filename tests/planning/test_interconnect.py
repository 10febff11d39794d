"""How long messages take at least."""

import numpy as np
import pytest

from research.planning.chips import CHIPS, HOP_SECONDS
from research.planning.collectives import Collective
from research.planning.interconnect import message_seconds
from research.planning.topologies import parse_topologies

LARGE = 1e9


def seconds(name: str, kind: str, groups, size: float = LARGE) -> float:
    """A message on a slice whose devices are numbered in the order of their coordinates."""
    (topology,) = parse_topologies(name)
    coordinates = np.stack(np.unravel_index(np.arange(topology.num_chips), topology.shape), axis=1)
    coordinates = coordinates.repeat(topology.chip.devices, axis=0)
    return message_seconds(Collective(kind, size, np.asarray(groups), 1), topology, coordinates)


def everyone(count: int) -> list[list[int]]:
    return [list(range(count))]


LINK = CHIPS["v5e"].link_bandwidth


def test_along_a_line_one_link_carries_what_others_have():
    # 2×4: rows are lines of four.
    rows = [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert seconds("v5e:2x4", "all-gather", rows) == pytest.approx(LARGE * 3 / 4 / LINK)


def test_a_ring_has_two_links():
    rows = np.arange(256).reshape(16, 16)
    assert seconds("v5e:16x16", "all-gather", rows) == pytest.approx(LARGE * 15 / 16 / (2 * LINK))


def test_a_part_of_a_ring_is_a_line():
    halves = np.arange(256).reshape(32, 8)
    assert seconds("v5e:16x16", "all-gather", halves) == pytest.approx(LARGE * 7 / 8 / LINK)


def test_two_dimensions_have_the_links_of_both():
    assert seconds("v5e:2x4", "all-gather", everyone(8)) == pytest.approx(
        LARGE * 7 / 8 / (2 * LINK)
    )


def test_an_all_reduce_is_a_reduce_scatter_and_an_all_gather():
    one, other, both = (
        seconds("v5e:16x16", kind, everyone(256))
        for kind in ("reduce-scatter", "all-gather", "all-reduce")
    )
    assert both == pytest.approx(one + other)


def test_a_large_message_takes_as_long_on_any_number_of_chips_that_close_to_rings():
    few, many = (seconds(f"v5p:{shape}", "all-reduce", everyone(count))
                 for shape, count in (("4x4x4", 64), ("8x8x8", 512)))  # fmt: skip
    assert many == pytest.approx(few, rel=0.02)


@pytest.mark.parametrize(
    ("name", "count", "hops"), [("v5e:2x4", 8, 1 + 3), ("v5e:16x16", 256, 8 + 8)]
)
def test_a_small_message_takes_its_hops_there_and_back(name, count, hops):
    taken = seconds(name, "all-reduce", everyone(count), size=4)
    assert taken == pytest.approx(2 * hops * HOP_SECONDS)


def test_cores_of_one_chip_need_no_link():
    pairs = [[0, 1], [2, 3], [4, 5], [6, 7]]
    across = everyone(8)
    assert (
        seconds("v7x:2x2x1", "all-reduce", pairs) < seconds("v7x:2x2x1", "all-reduce", across) / 5
    )


def test_a_message_to_nobody_takes_no_time():
    assert seconds("v5e:2x4", "collective-permute", np.zeros((0, 2), int)) == 0
