"""Accelerator types: how many hosts and chips their names stand for."""

import math

import pytest

from launch.cloud.slices import GENERATIONS, parse_type
from research.errors import UserError


@pytest.mark.parametrize(
    ("name", "chips", "hosts", "topology", "runtime"),
    [
        ("v5litepod-1", 1, 1, "1x1", "v2-alpha-tpuv5-lite"),
        ("v5litepod-8", 8, 1, "2x4", "v2-alpha-tpuv5-lite"),
        ("v5litepod-16", 16, 4, "4x4", "v2-alpha-tpuv5-lite"),
        ("v5litepod-256", 256, 64, "16x16", "v2-alpha-tpuv5-lite"),
        ("v6e-8", 8, 1, "2x4", "v2-alpha-tpuv6e"),
        ("v6e-32", 32, 8, "4x8", "v2-alpha-tpuv6e"),
        ("v5p-8", 4, 1, "2x2x1", "v2-alpha-tpuv5"),
        ("v5p-16", 8, 2, "2x2x2", "v2-alpha-tpuv5"),
        ("v5p-128", 64, 16, "4x4x4", "v2-alpha-tpuv5"),
        ("v4-8", 4, 1, "2x2x1", "tpu-ubuntu2204-base"),
        ("v4-32", 16, 4, "2x2x4", "tpu-ubuntu2204-base"),
    ],
)
def test_a_name_stands_for_chips_hosts_and_an_image(name, chips, hosts, topology, runtime):
    parsed = parse_type(name)
    assert (parsed.chips, parsed.hosts, parsed.topology) == (chips, hosts, topology)
    assert parsed.generation.runtime_version == runtime


@pytest.mark.parametrize("generation", GENERATIONS.values(), ids=GENERATIONS)
def test_a_topology_has_as_many_places_as_chips(generation):
    for chips, topology in generation.topologies.items():
        assert math.prod(map(int, topology.split("x"))) == chips
        name = f"{generation.prefix}-{chips * generation.cores_per_chip}"
        assert parse_type(name).chips == chips


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "give an accelerator type. For example: v5litepod-8"),
        ("v5e-8", "Did you mean 'v5litepod-8'?"),
        ("tpu-v6e-8", "Did you mean 'v6e-8'?"),
        ("v6e-12", "There are: v6e-1, v6e-4, v6e-8"),
        ("v5p-9", "no accelerator type 'v5p-9'"),
        ("v5p-08", "no accelerator type 'v5p-08'"),
        ("v6e-x", "no accelerator type 'v6e-x'"),
        ("v6e", "no accelerator type 'v6e'"),
        ("tpu7x-8", "the Cloud TPU API ends with v6e"),
    ],
)
def test_what_is_no_type_is_refused_with_those_that_are(name, message):
    with pytest.raises(UserError) as error:
        parse_type(name)
    assert message in str(error.value)
