"""Blocks of replicas: how many there are, and that they change nothing but the order."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.checkpoint_files import read_arrays
from research.data.splits import open_dataset
from research.experiment import timetable
from research.population.blocks import CACHE_BYTES, block_size, in_blocks
from research.population.run import PopulationRun
from research.program import train_steps
from research.state import bytes_per_device
from tests.runs import experiment, run

STEPS = 12
POPULATION = [
    f"--config.steps={STEPS}",
    "--config.optimizer.name=momentum",
    "--config.model.activation=gelu",
    "--config.logging.every_steps=5",
    "--config.logging.tensorboard=false",
    "--config.population.seeds=2",
    "--sweep=optimizer.learning_rate=1e-2,1e-1",
]


@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 2 * CACHE_BYTES))
def test_a_block_is_the_largest_even_part_that_is_allowed(most, replicas, size):
    on_cpu, elsewhere = (block_size(most, replicas, size, kind) for kind in ("cpu", "tpu"))
    fitting = max(1, CACHE_BYTES // size)
    for found, limit in ((on_cpu, most or fitting), (elsewhere, most or replicas)):
        divisors = [each for each in range(1, replicas + 1) if replicas % each == 0]
        assert found == max(each for each in divisors if each <= limit)


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_each_replica_is_run_once_with_what_is_its_own(size):
    def double(state, factors):
        assert len(state) == len(factors) == size
        return state * 2, {"sum": jnp.stack([state.sum(1), factors * 10])}

    state, factors = jnp.arange(12.0).reshape(6, 2), jnp.arange(6.0)
    after, metrics = in_blocks(double, size, state, factors)
    np.testing.assert_array_equal(after, state * 2)
    np.testing.assert_array_equal(metrics["sum"], [state.sum(1), factors * 10])


def test_replicas_are_the_same_in_blocks_of_two_and_all_at_once(tmp_path):
    found = {}
    for at_once in (3, 4):
        workdir = tmp_path / str(at_once)
        chosen = experiment(*POPULATION, f"--config.population.at_once={at_once}")
        assert run(chosen, workdir, kind=PopulationRun).step == STEPS
        found[at_once] = read_arrays(workdir / "checkpoints" / str(STEPS))
        lines = (workdir / "metrics.jsonl").read_text().splitlines()
        assert len(lines) == 4 * (3 + 1)  # after steps 5, 10 and 12, and of validation
    for name, values in found[4].items():
        np.testing.assert_allclose(found[3][name], values, rtol=2e-5, atol=2e-5)


def test_a_population_goes_on_in_other_blocks(tmp_path):
    whole, halves = (experiment(*POPULATION, f"--config.population.at_once={n}") for n in (4, 2))
    assert run(whole, tmp_path, stop_after=4, kind=PopulationRun).stopped
    assert run(halves, tmp_path, kind=PopulationRun).step == STEPS


def test_beside_the_state_lives_a_block_of_it_and_its_gradient():
    wide = "--config.model.widths=(512,512)", "--config.global_batch_size=8"
    chosen = experiment(*POPULATION, *wide, "--config.population.at_once=1")
    dataset = open_dataset(chosen.data)
    plan = timetable(chosen, len(dataset.train))
    program = PopulationRun.make_program(chosen, plan, dataset)
    feed = PopulationRun.open_feed(chosen, plan, dataset.train, program.mesh)
    lowered = train_steps(program, feed).lower(program.state_shapes, feed.take(0, 3))
    memory = lowered.compile().memory_analysis()
    whole = bytes_per_device(program.state_shapes)
    assert memory.alias_size_in_bytes == whole
    # A block of parameters and their momentum, a gradient, and at most as much again.
    assert memory.temp_size_in_bytes < 2 * whole / program.blocks == whole / 2
