"""The loss against its formula."""

import jax
import jax.numpy as jnp
import numpy as np

from research import objectives

LOGITS = np.random.default_rng(0).normal(scale=3, size=(7, 4))
LABELS = np.arange(7) % 4


def test_cross_entropy_is_the_negative_log_probability_of_the_label():
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    expected = -np.log(probabilities[np.arange(7), LABELS])
    with jax.enable_x64(True):
        found = objectives.cross_entropy(jnp.asarray(LOGITS), jnp.asarray(LABELS))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_cross_entropy_of_equal_logits_is_the_log_of_their_number():
    found = objectives.cross_entropy(jnp.zeros((2, 10)), jnp.array([0, 9]))
    np.testing.assert_allclose(found, np.log(10), rtol=1e-6)


def test_cross_entropy_of_large_logits_is_finite():
    logits = jnp.array([[1e4, -1e4], [1e4, -1e4]])
    found = objectives.cross_entropy(logits, jnp.array([0, 1]))
    np.testing.assert_allclose(found, [0, 2e4])


def test_gradient_of_cross_entropy_is_probability_minus_indicator():
    gradient = jax.grad(lambda logits: objectives.cross_entropy(logits, LABELS).sum())
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    found = gradient(jnp.asarray(LOGITS, jnp.float32))
    np.testing.assert_allclose(found, probabilities - np.eye(4)[LABELS], atol=1e-6)


def test_prediction_is_correct_where_the_largest_logit_is_the_labels():
    logits = jnp.array([[1.0, 2.0], [2.0, 1.0], [0.0, -1.0]])
    np.testing.assert_array_equal(
        objectives.correct(logits, jnp.array([1, 1, 0])), [True, False, True]
    )
