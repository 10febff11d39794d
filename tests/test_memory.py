"""Memory: no copy of the state lives during training steps, and activations can be few."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.data.splits import open_dataset
from research.experiment import timetable
from research.feeding import open_feed
from research.program import compile_train_steps, make_program
from research.state import bytes_per_device
from tests.runs import experiment

WIDE = ["--config.model.widths=(512,512)", "--config.global_batch_size=8"]
DEEP = [
    "--config.model.widths=(256,256,256)",
    "--config.model.activation=gelu",
    "--config.model.dropout_rate=0.2",
    "--config.global_batch_size=512",
]


def compiled(*overrides):
    """The program, the compiled training steps of it, their source and the first state."""
    chosen = experiment("--config.steps=20", *overrides)
    dataset = open_dataset(chosen.data)
    plan = timetable(chosen, len(dataset.train))
    program = make_program(chosen, plan, dataset)
    feed = open_feed(chosen, plan, dataset.train, program.mesh)
    source = feed.take(0, 3)
    return program, compile_train_steps(program, feed, source).call, source, program.init()


@pytest.mark.parametrize("option", ["--config.optimizer.ema_decay=0.9", "--config.seed=1"])
def test_new_state_takes_the_place_of_the_old_and_beside_it_lives_a_gradient(option):
    _, steps, _, state = compiled(*WIDE, option)
    memory = steps.memory_analysis()
    assert memory.alias_size_in_bytes == bytes_per_device(state)
    parameters = sum(leaf.nbytes for leaf in jax.tree.leaves(state.params))
    assert memory.temp_size_in_bytes < 1.5 * parameters < bytes_per_device(state) / 1.9


def test_in_bfloat16_all_products_are_and_all_that_is_kept_is_float32():
    program, steps, source, state = compiled(*DEEP, "--config.model.compute_dtype=bfloat16")
    batch = {
        "input": jax.ShapeDtypeStruct((512, 8, 8, 1), jnp.uint8),
        "label": jax.ShapeDtypeStruct((512,), jnp.int32),
    }
    text = program.train_step.lower(state, batch).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line and "<512x" in line]
    assert products and all("bf16" in line for line in products)
    state, metrics = steps(state, source)
    kept = jax.tree.leaves((state.params, state.opt_state, state.batch_stats, metrics["loss"]))
    assert {leaf.dtype.name for leaf in kept} == {"float32", "int32"}


def test_rematerialisation_changes_no_result_and_keeps_less():
    found = {}
    for rematerialize in ("false", "true"):
        _, steps, source, state = compiled(*DEEP, f"--config.model.rematerialize={rematerialize}")
        temporary = steps.memory_analysis().temp_size_in_bytes
        found[rematerialize] = temporary, *steps(state, source)
    (plain, state, metrics), (less, other_state, other_metrics) = found.values()
    assert less < 0.8 * plain
    np.testing.assert_allclose(other_metrics["loss"], metrics["loss"], rtol=1e-5)
    assert jax.tree.structure(state) == jax.tree.structure(other_state)
