"""Adam and AdamW against the algorithms of their papers, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.optimizers import OPTIMIZERS
from research.optimizers.adam import Adam, AdamW
from tests.optimizers.updates import assert_equal, largest_difference, trajectory, transcription

LEARNING_RATE = 0.05


def adam(b1=0.9, b2=0.999, eps=1e-8):
    """Kingma & Ba 2015 (arXiv:1412.6980), algorithm 1."""

    def make_rule():
        m, v, t = np.zeros(()), np.zeros(()), 0

        def rule(gradient):
            nonlocal m, v, t
            t += 1
            m = b1 * m + (1 - b1) * gradient
            v = b2 * v + (1 - b2) * gradient**2
            return (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)

        return rule

    return make_rule


@pytest.mark.parametrize(
    ("name", "penalties"),
    [
        ("adam", {"l2": 0.0, "weight_decay": 0.0}),
        ("adam", {"l2": 0.1, "weight_decay": 0.0}),
        ("adam", {"l2": 0.0, "weight_decay": 0.1}),
        ("adamw", {"l2": 0.0, "weight_decay": 0.1}),
        ("adamw", {"l2": 0.1, "weight_decay": 0.2}),
    ],
)
def test_hundred_steps_equal_the_formula(name, penalties):
    options = OPTIMIZERS[name](learning_rate=LEARNING_RATE, **penalties)
    expected = transcription(adam(), learning_rate=LEARNING_RATE, **penalties)
    assert_equal(trajectory(options), expected)


def test_coefficients_are_those_of_the_options():
    coefficients = {"b1": 0.5, "b2": 0.8, "eps": 1e-2}
    found = trajectory(Adam(learning_rate=LEARNING_RATE, **coefficients))
    assert_equal(found, transcription(adam(**coefficients), learning_rate=LEARNING_RATE))


def test_float32_steps_and_state_equal_those_of_optax_up_to_rounding():
    options = {"b1": 0.8, "b2": 0.99, "eps": 1e-6}
    ours, theirs = Adam(**options).direction(), optax.scale_by_adam(**options)
    params = {"kernel": jnp.zeros((5, 3)), "bias": jnp.zeros(3)}
    state, expected_state = ours.init(params), theirs.init(params)
    for seed in range(20):
        gradient = optax.tree.random_like(jax.random.key(seed), params)
        step, state = ours.update(gradient, state)
        expected, expected_state = theirs.update(gradient, expected_state)
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), step, expected)
        jax.tree.map(np.testing.assert_array_equal, state, expected_state)


def test_l2_and_decoupled_decay_differ_under_adam():
    coupled = trajectory(Adam(learning_rate=4e-2, l2=0.1))
    decoupled = trajectory(AdamW(learning_rate=4e-2, weight_decay=0.1))
    assert largest_difference(coupled, decoupled) > 6e-2


def test_adamw_decays_and_adam_does_not_unless_asked_to():
    assert AdamW().weight_decay == 0.01
    assert Adam().weight_decay == Adam().l2 == 0.0
