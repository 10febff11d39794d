"""Activation functions are what their papers say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from research.models.activations import ACTIVATIONS, ada
from research.models.mlp import Mlp
from research.models.network import network
from research.records import warnings

FORMULAS = {
    "identity": lambda z: z,
    "step": lambda z: np.where(z > 0, 1.0, 0.0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "prelu": lambda z: np.where(z > 0, z, 0.25 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    # Hendrycks & Gimpel 2016 (arXiv:1606.08415), section 2, with tanh.
    "gelu": lambda z: z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "gcu": lambda z: z * np.cos(z),
    "ada": lambda z: np.maximum(0, z) * np.exp(1 - z),
}


class Activating(nn.Module):
    """A Flax module that applies an activation."""

    name_of_activation: str

    @nn.compact
    def __call__(self, z):
        chosen = ACTIVATIONS[self.name_of_activation]
        return chosen.function(z, name="slope") if chosen.learned else chosen.function(z)


def apply(name, z):
    module = Activating(name)
    return module.init_with_output(jax.random.key(0), z)[0]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_equals_its_formula(name):
    z = np.linspace(-4, 4, 41)
    np.testing.assert_allclose(apply(name, jnp.asarray(z)), FORMULAS[name](z), atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_keeps_the_dtype_and_is_finite_far_out(name):
    z = jnp.asarray([-3e4, -100, 0, 100, 3e4], jnp.bfloat16)
    found = apply(name, z)
    assert found.dtype == jnp.bfloat16 and jnp.isfinite(found).all()
    gradient = jax.grad(lambda z: apply(name, z).astype(jnp.float32).sum())(z)
    assert jnp.isfinite(gradient).all()


def test_dendritic_activation_takes_its_parameters():
    z = np.linspace(-2, 2, 9)
    found = ada(jnp.asarray(z), alpha=0.5, c=2.0)
    np.testing.assert_allclose(found, np.maximum(0, z) * np.exp(2 - 0.5 * z), rtol=1e-5)


def test_gradient_of_the_step_is_zero_everywhere():
    gradients = jax.vmap(jax.grad(ACTIVATIONS["step"].function))(jnp.linspace(-2, 2, 41))
    np.testing.assert_array_equal(gradients, np.zeros(41))


def test_gradient_of_the_sigmoid_is_at_most_a_quarter_and_vanishes_over_layers():
    def neurons(z, depth):
        for _ in range(depth):
            z = ACTIVATIONS["sigmoid"].function(z)
        return z

    z = jnp.linspace(-8, 8, 161)
    for depth in (1, 5):
        gradients = jax.vmap(jax.grad(neurons), in_axes=(0, None))(z, depth)
        assert 0 < float(gradients.max()) <= 0.25**depth * (1 + 1e-6)
    assert float(jax.grad(neurons)(0.0, 1)) == 0.25


def test_learned_slope_receives_the_gradient_of_the_negative_side():
    net = network(Mlp(widths=(5,), activation="prelu"), 3)
    x = np.random.default_rng(0).normal(size=(4, 1, 6, 1)).astype(np.float32)
    variables = net.init(jax.random.key(0), x)
    params = variables["params"]
    assert params["dense_0_prelu"]["negative_slope"] == 0.25
    z = x.reshape(4, 6) @ params["dense_0"]["kernel"]
    gradient = jax.grad(lambda params: net.apply({"params": params}, x).sum())(params)
    expected = (np.minimum(z, 0) @ params["logits"]["kernel"]).sum()
    found = gradient["dense_0_prelu"]["negative_slope"]
    assert abs(float(found)) > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_step_is_warned_of_because_it_trains_nothing():
    assert warnings(Mlp(activation="step"), "config.model") == [
        "config.model.activation: the gradient of 'step' is 0 everywhere; gradient descent "
        "trains nothing before it"
    ]
    for name in set(ACTIVATIONS) - {"step"}:
        assert warnings(Mlp(activation=name), "config.model") == []


def test_weights_before_a_step_have_no_gradient_and_those_after_it_have():
    net = network(Mlp(widths=(5,), activation="step"), 3)
    x = np.random.default_rng(0).normal(size=(4, 1, 6, 1)).astype(np.float32)
    variables = net.init(jax.random.key(0), x)
    gradient = jax.grad(lambda params: (net.apply({"params": params}, x) ** 2).sum())
    found = gradient(variables["params"])
    assert not found["dense_0"]["kernel"].any() and found["logits"]["kernel"].any()
