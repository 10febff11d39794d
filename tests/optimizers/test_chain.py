"""What every optimizer's chain has in common: clipping, penalties, schedules, accumulation."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.linear_model import Lasso

from research.errors import UserError
from research.models.cnn import Cnn
from research.models.network import network
from research.optimizers import OPTIMIZERS
from research.optimizers.adam import Adam
from research.optimizers.chain import decay_mask, make_chain
from research.optimizers.schedules import Constant, OneCycle, Step, WarmupCosine
from research.optimizers.sgd import Momentum, Sgd
from research.records import check
from tests.optimizers.updates import assert_equal, gradients, parameters, trajectory


def single_update(options, given):
    """The update that a fresh chain makes of one gradient."""
    chain = make_chain(options, 10).transformation
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), parameters())
    return chain.update(given, chain.init(params), params)[0]


def first_gradient(scale=1.0):
    return jax.tree.map(lambda leaf: jnp.asarray(scale * leaf[0], jnp.float32), gradients(1))


# Regression on 10 features, of which three matter.
FEATURES = np.random.default_rng(0).normal(size=(100, 10))
WEIGHTS = np.array([3.0, 0, 0, -2, 0, 0, 0, 1, 0, 0])
TARGETS = FEATURES @ WEIGHTS + 0.1 * np.random.default_rng(1).normal(size=100)
IRRELEVANT = WEIGHTS == 0


def regression_gradient(w):
    """The gradient of the mean of half the squared errors."""
    return FEATURES.T @ (FEATURES @ w - TARGETS) / len(TARGETS)


def regress(options, steps):
    """The weights after each step from 0, float64 [steps, features]."""
    with jax.enable_x64(True):
        chain = make_chain(options, steps).transformation

        def step(carry, _):
            params, state = carry
            given = {"kernel": regression_gradient(params["kernel"])}
            updates, state = chain.update(given, state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), params["kernel"]

        params = {"kernel": jnp.zeros(10)}
        run = jax.jit(lambda: jax.lax.scan(step, (params, chain.init(params)), length=steps))
        return np.asarray(run()[1])


def test_penalties_leave_biases_and_normalisation_alone():
    net = network(Cnn(stages=((2,),), widths=(3,)), 4)
    params = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 4, 4, 1)))["params"]
    assert decay_mask(params) == {
        "conv_0_0": {"kernel": True},
        "conv_0_0_norm": {"bias": False, "scale": False},
        "dense_0": {"kernel": True},
        "dense_0_norm": {"bias": False, "scale": False},
        "logits": {"bias": False, "kernel": True},
    }


def penalised(name, penalty):
    return OPTIMIZERS[name](learning_rate=1e-2, **{"weight_decay": 0.0, penalty: 0.1})


def is_allowed(options):
    try:
        check(options, "optimizer")
    except UserError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "penalty"),
    [
        (name, penalty)
        for name in OPTIMIZERS
        for penalty in ("l1", "l2", "weight_decay")
        if is_allowed(penalised(name, penalty))
    ],
)
def test_penalty_without_gradient_moves_kernels_towards_zero_and_nothing_else(name, penalty):
    options = penalised(name, penalty)
    updates = single_update(options, jax.tree.map(jnp.zeros_like, first_gradient()))
    for layer, leaves in updates.items():
        for leaf, update in leaves.items():
            if leaf == "kernel":
                assert (np.sign(update) == -np.sign(parameters()[layer][leaf])).all()
            else:
                # Averaging makes the same weights of themselves, but for rounding.
                atol = 1e-6 if options.averages else 0
                np.testing.assert_allclose(update, np.zeros_like(update), atol=atol)


def test_penalties_are_refused_where_they_could_not_do_what_they_say():
    combinations = {(name, p) for name in OPTIMIZERS for p in ("l1", "l2", "weight_decay")}
    assert {c for c in combinations if not is_allowed(penalised(*c))} == {
        ("muon", "l2"),
        ("schedule_free_adam", "l1"),
    }


@pytest.mark.parametrize("scale", [10.0, 1e4])
def test_clipping_scales_larger_gradients_down_to_the_norm(scale):
    gradient = first_gradient(scale)
    updates = single_update(Sgd(learning_rate=1.0, clip_norm=0.5), gradient)
    factor = 0.5 / optax.tree.norm(gradient)
    jax.tree.map(
        lambda u, g: np.testing.assert_allclose(u, -factor * g, rtol=1e-5), updates, gradient
    )
    assert float(optax.tree.norm(updates)) == pytest.approx(0.5)


def test_clipping_leaves_smaller_gradients_as_they_are():
    gradient = first_gradient()
    norm = float(optax.tree.norm(gradient))
    clipped, free = (
        single_update(Sgd(learning_rate=0.1, clip_norm=clip_norm), gradient)
        for clip_norm in (1.01 * norm, 0.0)
    )
    jax.tree.map(np.testing.assert_array_equal, clipped, free)


def test_clipping_does_not_touch_the_penalty():
    nothing = jax.tree.map(jnp.zeros_like, first_gradient())
    free, clipped = (
        single_update(Sgd(learning_rate=0.1, l2=1.0, clip_norm=clip_norm), nothing)
        for clip_norm in (0.0, 1e-3)
    )
    jax.tree.map(np.testing.assert_array_equal, free, clipped)


def test_l1_equals_the_proximal_formula():
    learning_rate, l1 = 0.3, 0.2
    w, expected = np.zeros(10), []
    for _ in range(100):  # iterative soft-thresholding, Daubechies et al. 2004
        w = w - learning_rate * regression_gradient(w)
        w = np.sign(w) * np.maximum(np.abs(w) - learning_rate * l1, 0)
        expected.append(w)
    found = regress(Sgd(learning_rate=learning_rate, l1=l1), 100)
    np.testing.assert_allclose(found, np.stack(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [Sgd(learning_rate=0.3, l1=0.2), Momentum(learning_rate=0.03, momentum=0.75, l1=0.8)],
    ids=lambda options: options.name,
)
def test_l1_ends_at_the_lasso_with_irrelevant_features_at_exactly_zero(options):
    found = regress(options, 600)[-1]
    np.testing.assert_array_equal(found == 0.0, IRRELEVANT)
    lasso = Lasso(alpha=0.2, fit_intercept=False, tol=1e-12).fit(FEATURES, TARGETS)
    np.testing.assert_allclose(found, lasso.coef_, atol=1e-6)


def test_l1_threshold_follows_the_schedule():
    schedule, l1, steps = WarmupCosine(warmup_fraction=0.5), 0.2, 10
    options = Sgd(learning_rate=0.3, l1=l1, schedule=schedule)
    rates = [float(schedule.function(0.3, steps)(count)) for count in range(steps)]
    w = np.zeros(10)
    for rate in rates:
        w = w - rate * regression_gradient(w)
        w = np.sign(w) * np.maximum(np.abs(w) - rate * l1, 0)
    # The rates above are float32.
    np.testing.assert_allclose(regress(options, steps)[-1], w, atol=1e-6)


def test_l2_ends_at_ridge_regression():
    found = regress(Sgd(learning_rate=0.3, l2=0.5), 300)[-1]
    count = len(TARGETS)
    ridge = np.linalg.solve(
        FEATURES.T @ FEATURES / count + 0.5 * np.eye(10), FEATURES.T @ TARGETS / count
    )
    np.testing.assert_allclose(found, ridge, atol=1e-12)


@pytest.mark.parametrize("accumulate_steps", [1, 3])
@pytest.mark.parametrize(
    "schedule", [Constant(), WarmupCosine(), Step(), OneCycle()], ids=lambda s: s.name
)
def test_reported_learning_rate_is_the_one_applied(schedule, accumulate_steps):
    options = Sgd(learning_rate=0.1, schedule=schedule, accumulate_steps=accumulate_steps)
    chain = make_chain(options, total_steps=31)  # leaves one step over
    ones = {"kernel": jnp.ones(())}

    def step(state, count):
        updates, state = chain.transformation.update(ones, state, ones)
        return state, (updates["kernel"], chain.learning_rate(count), chain.updates_after(count))

    run = jax.jit(lambda: jax.lax.scan(step, chain.transformation.init(ones), jnp.arange(31)))
    updates, learning_rates, updates_after = map(np.asarray, run()[1])
    np.testing.assert_allclose(updates, np.where(updates_after, -learning_rates, 0), rtol=1e-6)
    assert updates_after.sum() == 31 // accumulate_steps
    # The schedule is stretched over the updates of the run, not over its steps.
    of_updates = schedule.function(0.1, 31 // accumulate_steps)
    expected = jax.vmap(lambda step: jnp.asarray(of_updates(step)))(
        jnp.arange(31) // accumulate_steps
    )
    np.testing.assert_allclose(learning_rates, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [Sgd(clip_norm=1.0), Momentum(l2=0.1), Adam(l1=0.1)],
    ids=lambda options: options.name,
)
def test_accumulation_makes_one_update_of_the_mean_gradient(options):
    every, updates = 4, 5
    given = gradients(every * updates)
    means = jax.tree.map(lambda g: g.reshape(updates, every, *g.shape[1:]).mean(axis=1), given)
    expected = trajectory(options, means, total_steps=updates)
    accumulating = dataclasses.replace(options, accumulate_steps=every)
    found = trajectory(accumulating, given, total_steps=every * updates)
    # The mean is accumulated in float32.
    at_updates = jax.tree.map(lambda leaf: leaf[every - 1 :: every], found)
    assert_equal(at_updates, expected, atol=1e-6)
    # Between two updates the parameters rest.
    for between in range(1, every):
        assert_equal(
            jax.tree.map(lambda leaf, k=between: leaf[every - 1 + k :: every], found),
            jax.tree.map(lambda leaf: leaf[:-1], at_updates),
            atol=0,
        )
