"""The compiler for TPUs, on a machine without one."""

import os

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import SingleDeviceSharding

from research.planning import compiler
from research.planning.compiler import DoesNotCompile, DoesNotFit
from research.planning.topologies import parse_topologies

GIB = 2**30

needs_libtpu = pytest.mark.skipif(
    not compiler.is_installed(), reason="needs libtpu: pip install -e '.[plan]'"
)


def device(name: str):
    (topology,) = parse_topologies(name)
    return topology, compiler.devices(topology)[0]


def lowered(function, target, *shapes, dtype=jnp.bfloat16):
    sharding = SingleDeviceSharding(target)
    return jax.jit(function).lower(
        *(jax.ShapeDtypeStruct(shape, dtype, sharding=sharding) for shape in shapes)
    )


@pytest.mark.parametrize(
    ("message", "required", "available"),
    [
        ("RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
         "temporaries (37.52G) exceeds available HBM (15.75G).", 37.52 * GIB, 15.75 * GIB),
        ("RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 1.20T of 31.25G hbm. "
         "Exceeded hbm capacity by 1.17T.", 1.2 * 2**40, 31.25 * GIB),
        ("RESOURCE_EXHAUSTED: no figures", None, None),
    ],
)  # fmt: skip
def test_a_refusal_says_what_was_needed_and_what_there_is(message, required, available):
    error = DoesNotFit(message)
    assert (error.required, error.available) == (required, available)


def test_the_environment_is_as_it_was_afterwards(monkeypatch):
    monkeypatch.setenv("TPU_ACCELERATOR_TYPE", "v4-8")
    before, caching = dict(os.environ), jax.config.jax_enable_compilation_cache
    with compiler.offline():
        assert os.environ["TPU_SKIP_MDS_QUERY"] == "1"
        assert os.environ["TPU_ACCELERATOR_TYPE"] == "v4-8"
        assert not jax.config.jax_enable_compilation_cache
    assert dict(os.environ) == before
    assert jax.config.jax_enable_compilation_cache == caching


@pytest.fixture(scope="module")
def offline():
    with compiler.offline():
        yield


@needs_libtpu
@pytest.mark.usefixtures("offline")
class TestCompiler:
    """What libtpu does."""

    @pytest.mark.parametrize("name", ["v4:2x2x1", "v5e:1x1", "v5p:2x2x1", "v6e:2x4", "v7x:2x2x1"])
    def test_every_chip_is_known_and_its_memory_nearly_all_there(self, name):
        topology, target = device(name)
        assert len(compiler.devices(topology)) == topology.num_devices
        capacity = topology.chip.hbm_bytes / topology.chip.devices
        assert 0.94 < compiler.available_memory(target) / capacity < 1.01

    @pytest.mark.parametrize("name", ["v5e:1x1", "v6e:1x1"])
    def test_its_cycles_are_those_of_the_clock(self, name):
        """A large matrix product comes near the peak of the data sheet and doesn't pass it."""
        topology, target = device(name)
        size = 4096
        found = compiler.compile_lowered(
            lowered(lambda a, b: a @ b, target, (size, size), (size, size))
        )
        (cycles,) = [
            i.cycles
            for c in found.module.computations.values()
            for i in c.instructions.values()
            if i.cycles
        ]
        share = 2 * size**3 / (cycles / topology.chip.clock) / topology.chip.peak_flops
        assert 0.8 < share <= 1

    def test_memory_is_that_of_arguments_and_results(self):
        _, target = device("v5e:1x1")
        found = compiler.compile_lowered(lowered(lambda a: a.T + 1, target, (1024, 2048)))
        assert found.memory.arguments == found.memory.outputs == 2 * 1024 * 2048
        assert found.memory.aliased == 0

    def test_a_program_that_is_too_large_does_not_fit(self):
        _, target = device("v5e:1x1")
        with pytest.raises(DoesNotFit) as error:
            compiler.compile_lowered(lowered(lambda a: a + 1, target, (2**34,)))
        assert error.value.required == pytest.approx(64 * GIB, rel=0.01)
        assert error.value.available == 15.75 * GIB

    def test_a_program_that_is_refused_for_another_reason_does_not_compile(self):
        class Refused:
            def compile(self):
                raise jax.errors.JaxRuntimeError("UNIMPLEMENTED: no such operation")

        with pytest.raises(DoesNotCompile, match="no such operation") as error:
            compiler.compile_lowered(Refused())
        assert not isinstance(error.value, DoesNotFit)
