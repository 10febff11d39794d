"""Names of slices, and what is published about their chips."""

import pytest

from research.errors import UserError
from research.planning.chips import CHIPS
from research.planning.topologies import parse_topologies


def one(name: str):
    (topology,) = parse_topologies(name)
    return topology


@pytest.mark.parametrize(
    ("name", "chips", "devices"),
    [("v5e:1x1", 1, 1), ("v5e:16x16", 256, 256), ("v6e:2x4", 8, 8), ("v5p:2x2x1", 4, 4),
     ("v4:4x4x8", 128, 128), ("v7x:2x2x1", 4, 8)],
)  # fmt: skip
def test_a_slice_has_the_chips_of_its_shape(name, chips, devices):
    assert one(name).name == name
    assert (one(name).num_chips, one(name).num_devices) == (chips, devices)


def test_a_list_keeps_its_order():
    names = "v6e:2x4, v5e:16x16,v5p:2x2x1"
    assert [t.name for t in parse_topologies(names)] == ["v6e:2x4", "v5e:16x16", "v5p:2x2x1"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("v5e:2x5", "v5e:2x"), ("v5litepod:2x4", "v5e:2x4"), ("v5p:4x4x5", "v5p:4x4x"),
     ("v6:2x4", "v6e:2x4"), ("v5e", "v5e:"), ("v5e:0x4", "v5e:"), ("v5p:4x8x4", "v5p:4x")],
)  # fmt: skip
def test_a_slice_that_is_not_on_offer_is_refused_with_those_that_are(name, nearest):
    with pytest.raises(UserError) as error:
        parse_topologies(name)
    message = str(error.value)
    assert f"there is no slice {name!r}" in message
    assert f"Did you mean '{nearest}" in message
    assert "v5e: 1x1, 2x2, 2x4, 4x4, 4x8, 8x8, 8x16, 16x16" in message


@pytest.mark.parametrize("text", ["", " , "])
def test_no_slice_at_all_is_refused(text):
    with pytest.raises(UserError, match="give one or more slices"):
        parse_topologies(text)


def test_a_slice_given_twice_is_refused():
    with pytest.raises(UserError, match="twice"):
        parse_topologies("v5e:2x4,v5e:2x4")


@pytest.mark.parametrize(
    ("name", "rings"),
    [("v5e:16x16", (True, True)), ("v5e:8x16", (False, True)), ("v5e:2x4", (False, False)),
     ("v5p:2x2x4", (False,) * 3), ("v5p:4x4x8", (True,) * 3)],
)  # fmt: skip
def test_dimensions_close_to_rings_where_pods_have_the_links(name, rings):
    topology = one(name)
    assert tuple(topology.is_ring(d) for d in range(len(topology.shape))) == rings


@pytest.mark.parametrize(
    ("name", "published"), [("v5e", 400e9), ("v5p", 1200e9), ("v6e", 800e9), ("v7x", 1200e9)]
)
def test_links_add_up_to_the_data_sheet(name, published):
    chip = CHIPS[name]
    assert 2 * chip.links * chip.link_bandwidth == published


def test_the_clock_is_the_published_one_where_there_is_one():
    assert CHIPS["v5e"].clock == pytest.approx(1.5e9, rel=0.005)
