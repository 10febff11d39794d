"""The training state: drawn from a seed, and all that a run remembers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.models.mlp import Mlp
from research.optimizers.adam import Adam
from research.state import (
    Interval,
    Normalization,
    averaged,
    bytes_per_device,
    count_parameters,
    dropout_key,
    parameter_key,
)
from tests import tiny

EXPERIMENT = tiny.experiment(model=Mlp(widths=(8,), batch_norm=True), optimizer=Adam(ema_decay=0.9))


@pytest.fixture(scope="module")
def state():
    return tiny.steps(EXPERIMENT).init()


def test_normalisation_gives_zero_mean_and_unit_variance_per_channel():
    images = np.random.default_rng(0).integers(0, 256, (50, 6, 5, 3), np.uint8)
    mean = images.mean(axis=(0, 1, 2), dtype=np.float64)
    std = images.std(axis=(0, 1, 2), dtype=np.float64)
    found = Normalization(mean.astype(np.float32), std.astype(np.float32))(jnp.asarray(images))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, (images - mean) / std, atol=1e-5)


def test_state_starts_at_step_zero_with_float32_parameters(state):
    assert (int(state.step), int(state.seed), int(state.first_nonfinite_step)) == (0, 0, 0)
    drawn = jax.tree.leaves((state.params, state.batch_stats, state.average))
    assert {leaf.dtype for leaf in drawn} == {jnp.dtype("float32")}
    jax.tree.map(np.testing.assert_array_equal, state.interval, Interval.empty())


def test_average_starts_as_a_copy_of_the_parameters():
    state = tiny.pure_steps(EXPERIMENT).init()
    jax.tree.map(np.testing.assert_array_equal, state.average, state.params)
    pairs = zip(jax.tree.leaves(state.average), jax.tree.leaves(state.params), strict=True)
    # A donated buffer may be handed over only once.
    assert all(a.unsafe_buffer_pointer() != b.unsafe_buffer_pointer() for a, b in pairs)


def test_state_keeps_no_average_unless_asked_to():
    assert jax.eval_shape(tiny.steps(tiny.experiment()).init).average == {}


def test_initial_parameters_are_a_function_of_the_seed(state):
    same, other = (tiny.steps(dataclasses.replace(EXPERIMENT, seed=seed)).init() for seed in (0, 1))
    jax.tree.map(np.testing.assert_array_equal, state, same)
    for name in ("dense_0", "logits"):
        assert (state.params[name]["kernel"] != other.params[name]["kernel"]).all()


def test_averaged_state_differs_in_its_parameters_alone(state):
    average = jax.tree.map(lambda leaf: leaf + 1, state.average)
    found = averaged(state.replace(average=average))
    jax.tree.map(np.testing.assert_array_equal, found.params, average)
    assert found.opt_state is state.opt_state and found.batch_stats is state.batch_stats


def test_keys_differ_from_step_to_step_seed_to_seed_and_use_to_use():
    keys = [dropout_key(seed, step) for seed in (0, 1) for step in (0, 1, 2)]
    keys += [parameter_key(seed) for seed in (0, 1)]
    assert len({tuple(jax.random.key_data(key).tolist()) for key in keys}) == len(keys)


def test_size_of_the_state_is_counted_in_parameters_and_bytes(state):
    parameters = 16 * 8 + 2 * 8 + 8 * 3 + 3
    assert count_parameters(state) == parameters
    # Float32: parameters, their average, Adam's m and v; running statistics;
    # Adam's and the schedule's counts, step, seed, first_nonfinite_step; the
    # five sums of the interval; mean and standard deviation of one channel.
    assert bytes_per_device(state) == 4 * (4 * parameters + 2 * 8 + 2 + 3 + 5 + 2)
