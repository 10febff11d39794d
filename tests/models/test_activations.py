"""Activation functions and initialisers are what their papers say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.models.activations import (
    ACTIVATIONS,
    INITIALIZERS,
    LINEAR,
    RECTIFIERS,
    SATURATING,
    activation,
    initializer,
)

FORMULAS = {
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    # Hendrycks & Gimpel 2016 (arXiv:1606.08415), section 2, with tanh.
    "gelu": lambda z: z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "identity": lambda z: z,
}

VARIANCES = {
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
}

# A dense layer and a 3×3 convolution, with their numbers of inputs and outputs.
SHAPES = [((400, 250), 400, 250), ((3, 3, 60, 200), 540, 1800)]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_equals_its_formula(name):
    z = np.linspace(-4, 4, 41)
    np.testing.assert_allclose(activation(name)(jnp.asarray(z)), FORMULAS[name](z), atol=1e-6)


def test_gradient_of_the_sigmoid_is_at_most_a_quarter():
    gradients = jax.vmap(jax.grad(activation("sigmoid")))(jnp.linspace(-8, 8, 161))
    assert float(gradients.max()) == pytest.approx(0.25)


@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), SHAPES, ids=["dense", "convolution"])
@pytest.mark.parametrize("name", INITIALIZERS)
def test_initial_weights_have_the_standard_deviation_of_the_formula(name, shape, fan_in, fan_out):
    family, distribution = name.split("_")
    sd = VARIANCES[family](fan_in, fan_out) ** 0.5
    weights = np.asarray(initializer(name, "relu")(jax.random.key(0), shape, jnp.float32))
    assert weights.std() == pytest.approx(sd, rel=0.02)
    assert abs(weights.mean()) < 0.02 * sd
    if distribution == "uniform":
        assert np.abs(weights).max() <= np.sqrt(3) * sd * (1 + 1e-6)
    else:
        assert np.abs(weights).max() > 2 * sd


@pytest.mark.parametrize(
    ("activations", "expected"),
    [(RECTIFIERS, "he_normal"), (SATURATING, "glorot_normal"), (LINEAR, "lecun_normal")],
)
def test_automatic_initialiser_fits_the_activation(activations, expected):
    key, shape = jax.random.key(1), (5, 7)
    for name in activations:
        chosen = initializer("auto", name)(key, shape, jnp.float32)
        np.testing.assert_array_equal(chosen, initializer(expected, name)(key, shape, jnp.float32))
