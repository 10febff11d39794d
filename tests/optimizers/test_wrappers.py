"""Lookahead, sharpness-aware minimisation and kept averages, against their algorithms."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.optimizers import OPTIMIZERS
from research.optimizers.adam import Adam
from research.optimizers.chain import make_chain
from research.optimizers.schedule_free import ScheduleFreeAdam
from research.optimizers.schedules import WarmupCosine
from research.optimizers.sgd import Momentum, Sgd
from tests.optimizers.updates import assert_equal, gradients, parameters, trajectory

CURVATURE = np.diag([1.0, 4.0, 9.0])
TARGET = np.array([1.0, -2.0, 0.5])


def gradient_at(w):
    """Of ½(w − t)ᵀA(w − t) + ¼Σw⁴."""
    return CURVATURE @ (w - TARGET) + w**3


def descend(options, steps):
    """Weights and kept averages after each step from 0, float64 [steps, 3]."""
    with jax.enable_x64(True):
        chain = make_chain(options, steps)

        def step(carry, count):
            params, state, average = carry
            updates, state = chain.transformation.update(
                jax.tree.map(gradient_at, params),
                state,
                params,
                grad_fn=lambda params, _: jax.tree.map(gradient_at, params),
            )
            params = optax.apply_updates(params, updates)
            average = chain.average(count, average, state, params)
            return (params, state, average), (params["kernel"], average.get("kernel", 0.0))

        params = {"kernel": jnp.zeros(3)}
        start = (params, chain.transformation.init(params), params if chain.averages else {})
        weights, averages = jax.jit(lambda: jax.lax.scan(step, start, jnp.arange(steps))[1])()
        return np.asarray(weights), np.asarray(averages)


def test_sharpness_aware_step_takes_the_gradient_uphill():
    w, expected = np.zeros(3), []
    for _ in range(50):  # Foret et al. 2021, algorithm 1
        gradient = gradient_at(w)
        uphill = w + 0.1 * gradient / np.linalg.norm(gradient)
        w = w - 0.05 * gradient_at(uphill)
        expected.append(w)
    found, _ = descend(Sgd(learning_rate=0.05, sam_radius=0.1), 50)
    np.testing.assert_allclose(found, expected, atol=1e-11)


def test_sharpness_aware_momentum_remembers_the_gradients_uphill():
    w, velocity, expected = np.zeros(3), np.zeros(3), []
    for _ in range(50):
        gradient = gradient_at(w)
        uphill = w + 0.1 * gradient / np.linalg.norm(gradient)
        velocity = 0.9 * velocity + gradient_at(uphill)
        w = w - 0.02 * velocity
        expected.append(w)
    found, _ = descend(Momentum(learning_rate=0.02, sam_radius=0.1), 50)
    np.testing.assert_allclose(found, expected, atol=1e-11)


def test_sharpness_aware_step_of_a_gradient_of_zero_is_finite():
    chain = make_chain(Sgd(sam_radius=0.1), 1).transformation
    zero = {"kernel": jnp.zeros(3)}
    updates, _ = chain.update(zero, chain.init(zero), zero, grad_fn=lambda params, _: params)
    np.testing.assert_array_equal(updates["kernel"], np.zeros(3))


def test_accumulation_averages_sharpness_aware_gradients():
    found, _ = descend(Sgd(learning_rate=0.05, sam_radius=0.1, accumulate_steps=3), 30)
    expected, _ = descend(Sgd(learning_rate=0.05, sam_radius=0.1), 10)
    # While gradients accumulate weights rest, so that all three are the same.
    np.testing.assert_allclose(found[2::3], expected, atol=1e-6)


def lookahead(steps, every, rate, learning_rate):
    """Zhang et al. 2019, algorithm 1, over plain gradient descent."""
    slow = fast = np.zeros(3)
    visited = []
    for count in range(1, steps + 1):
        fast = fast - learning_rate * gradient_at(fast)
        if count % every == 0:
            slow = slow + rate * (fast - slow)
            fast = slow
        visited.append((fast, slow))
    return map(np.stack, zip(*visited, strict=True))


def test_lookahead_equals_its_algorithm_and_keeps_the_slow_weights():
    options = Sgd(learning_rate=0.05, lookahead_steps=4, lookahead_rate=0.3)
    found, averages = descend(options, 50)
    fast, slow = lookahead(50, 4, 0.3, 0.05)
    np.testing.assert_allclose(found, fast, atol=1e-12)
    np.testing.assert_allclose(averages, slow, atol=1e-12)


def test_lookahead_counts_updates_not_accumulating_steps():
    options = Sgd(learning_rate=0.05, lookahead_steps=2, accumulate_steps=3)
    found, averages = descend(options, 36)
    fast, slow = lookahead(12, 2, 0.5, 0.05)
    np.testing.assert_allclose(found[2::3], fast, atol=1e-6)
    np.testing.assert_allclose(averages[2::3], slow, atol=1e-6)


def test_schedule_free_average_is_the_weighted_mean_of_the_iterates():
    learning_rate, b1, b2, eps = 0.05, 0.8, 0.9, 1e-8
    schedule, steps = WarmupCosine(warmup_fraction=0.5, end_factor=1.0), 20
    rates = [float(schedule.function(learning_rate, steps)(count)) for count in range(steps)]
    z = x = y = v = np.zeros(3)
    total, largest, expected = 0.0, 0.0, []
    for t, rate in enumerate(rates, start=1):  # Defazio et al. 2024, algorithm 1
        gradient = gradient_at(y)
        v = b2 * v + (1 - b2) * gradient**2
        z = z - rate * gradient / (np.sqrt(v / (1 - b2**t)) + eps)
        largest = max(largest, rate)
        total += largest**2
        share = largest**2 / total if total else 0.0
        x = (1 - share) * x + share * z
        y = (1 - b1) * z + b1 * x
        expected.append((y, x))
    options = ScheduleFreeAdam(learning_rate=learning_rate, b1=b1, b2=b2, schedule=schedule)
    found, averages = descend(options, steps)
    # The rates above are float32.
    np.testing.assert_allclose(found, [y for y, _ in expected], atol=1e-6)
    np.testing.assert_allclose(averages, [x for _, x in expected], atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        Adam(ema_decay=0.9),
        Adam(lookahead_steps=3),
        ScheduleFreeAdam(accumulate_steps=2),
        Adam(lookahead_steps=3, accumulate_steps=2, sam_radius=0.01),
    ],
    ids=lambda options: options.name,
)
def test_average_of_frozen_parameters_is_what_they_are(options):
    options = dataclasses.replace(options, freeze=("norm/",))
    chain = make_chain(options, 10)
    start = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), parameters())

    def step(carry, given):
        count, params, state, average = carry
        updates, state = chain.transformation.update(
            given, state, params, grad_fn=lambda params, _: given
        )
        params = optax.apply_updates(params, updates)
        return (count + 1, params, state, chain.average(count, average, state, params)), None

    given = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), gradients(6))
    carry = (jnp.zeros((), jnp.int32), start, chain.transformation.init(start), start)
    (_, params, _, average), _ = jax.jit(lambda: jax.lax.scan(step, carry, given))()
    for name, leaf in parameters()["norm"].items():
        np.testing.assert_array_equal(params["norm"][name], leaf.astype(np.float32))
        np.testing.assert_array_equal(average["norm"][name], leaf.astype(np.float32))
    assert (average["dense"]["kernel"] != params["dense"]["kernel"]).any()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_can_be_accumulated_frozen_and_made_sharpness_aware(name):
    options = OPTIMIZERS[name](accumulate_steps=2, freeze=("scale",), sam_radius=0.05)
    chain = make_chain(options, 4).transformation
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), parameters())
    given = jax.tree.map(lambda leaf: jnp.asarray(leaf[0], jnp.float32), gradients(1))

    @jax.jit
    def step(params, state):
        updates, state = chain.update(given, state, params, grad_fn=lambda params, _: given)
        return optax.apply_updates(params, updates), state

    first, state = step(params, chain.init(params))
    second, _ = step(first, state)
    averages = options.averages  # the same weights, but for rounding
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6 if averages else 0), first, params
    )
    np.testing.assert_array_equal(second["norm"]["scale"], params["norm"]["scale"])
    for layer, leaf in (("dense", "kernel"), ("dense", "bias"), ("norm", "bias")):
        assert (second[layer][leaf] != params[layer][leaf]).all()


def test_lookahead_of_one_step_and_rate_one_is_the_optimizer_itself():
    options = Adam(learning_rate=0.05)
    wrapped = dataclasses.replace(options, lookahead_steps=1, lookahead_rate=1.0)
    assert_equal(trajectory(wrapped), trajectory(options))
