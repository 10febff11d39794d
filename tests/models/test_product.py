"""Our product of a dense layer, whose weight gradient a CPU gets in another form."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import export, lax

from research.models.mlp import Mlp
from research.models.network import network
from research.models.product import dot_general
from research.planning.flops import matmul_flops

PLAIN = (((1,), (0,)), ((), ()))


def normal(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def loss(product, x, kernel):
    y = product(jnp.tanh(x), kernel, PLAIN)
    return jnp.sum(jnp.tanh(y) * jnp.arange(y.size).reshape(y.shape) / y.size)


def gradients(product, x, kernel):
    return jax.grad(loss, argnums=(1, 2))(product, x, kernel)


def check_equal(derivative, x, kernel):
    found, expected = (
        jax.jit(derivative, static_argnums=0)(product, x, kernel)
        for product in (dot_general, lax.dot_general)
    )
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(other).max())


@given(
    batch=st.sampled_from([1, 3, 64]),
    inputs=st.integers(1, 40),
    features=st.sampled_from([1, 2, 3, 10, 20, 21]),
)
@settings(max_examples=15)
def test_both_gradients_equal_the_native_ones(batch, inputs, features):
    check_equal(gradients, normal(batch, inputs), normal(inputs, features, seed=1))


def test_derivatives_in_forward_mode_equal_the_native_ones():
    def derivative(product, x, kernel):
        tangents = normal(*x.shape, seed=2), normal(*kernel.shape, seed=3)
        return jax.jvp(lambda x, kernel: loss(product, x, kernel), (x, kernel), tangents)

    check_equal(derivative, normal(8, 16), normal(16, 10, seed=1))


def test_second_derivatives_equal_the_native_ones():
    def derivative(product, x, kernel):
        def penalty(x, kernel):
            return sum(jnp.sum(g**2) for g in gradients(product, x, kernel))

        return jax.grad(penalty, argnums=(0, 1))(x, kernel)

    check_equal(derivative, normal(8, 16), normal(16, 10, seed=1))


@pytest.mark.parametrize("axes", [(0, 0), (None, 0), (0, None)], ids=str)
def test_gradients_of_many_models_at_once_equal_the_native_ones(axes):
    arrays = normal(3, 8, 16), normal(3, 16, 10, seed=1)
    given = [array if axis == 0 else array[0] for array, axis in zip(arrays, axes, strict=True)]

    def derivative(product, x, kernel):
        return jax.vmap(lambda x, kernel: gradients(product, x, kernel), axes)(x, kernel)

    check_equal(derivative, *given)


@pytest.mark.parametrize("wanted", [(1,), (2,), (1, 2)], ids=["input", "kernel", "both"])
def test_a_gradient_that_is_not_wanted_is_not_computed(wanted):
    def flops(product):
        derivative = jax.grad(loss, argnums=wanted)
        function = jax.make_jaxpr(derivative, static_argnums=0)
        return matmul_flops(function(product, normal(8, 16), normal(16, 10)))

    assert flops(dot_general) == flops(lax.dot_general)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((8, 16), jnp.bfloat16), ((2, 8, 16), jnp.float32)],
    ids=["bfloat16", "three axes"],
)
def test_what_is_no_product_of_two_float32_matrices_is_multiplied_as_jax_does_it(shape, dtype):
    def program(product):
        layer = nn.Dense(10, dtype=dtype, dot_general=product)
        x = jnp.ones(shape, dtype)
        params = layer.init(jax.random.key(0), x)
        return str(jax.make_jaxpr(jax.grad(lambda p: layer.apply(p, x).sum(dtype=float)))(params))

    assert program(dot_general) == program(lax.dot_general)


def gradient_of_an_mlp():
    """The gradient of a loss by the parameters of an MLP of 10 classes, and its arguments."""
    net = network(Mlp(widths=(128,)), 10)
    x = normal(32, 64)

    def loss(params):
        logits, _ = net.apply({"params": params}, x, train=True, dropout_key=jax.random.key(0))
        return jnp.mean(logits**2)

    params = jax.jit(net.init)(jax.random.key(0), x)["params"]
    return jax.jit(jax.grad(loss)), params


def test_on_a_cpu_the_gradient_of_few_features_is_no_product_over_both_first_axes():
    gradient, params = gradient_of_an_mlp()
    program = gradient.lower(params).compile().as_text()
    products = re.findall(
        r"f32\[(\S+?)\]\S* dot\(.*lhs_contracting_dims={(\d)}, rhs_contracting_dims={(\d)}", program
    )
    shapes = {shape: axes for shape, *axes in products}
    assert shapes["10,128"] == ["1", "0"]
    assert "128,10" not in shapes
    assert shapes["64,128"] == ["0", "0"]  # of many features: as XLA has it


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_on_other_platforms_the_gradient_is_that_of_the_native_product(platform, monkeypatch):
    def operations():
        gradient, params = gradient_of_an_mlp()
        text = export.export(gradient, platforms=[platform])(params).mlir_module()
        # A choice by platform is left with one branch, which the compiler takes.
        return sorted(re.findall(r"stablehlo\.(?!case|return|constant)\w+", text))

    found = operations()
    monkeypatch.setattr("research.models.layers.dot_general", lax.dot_general)
    assert found == operations()
    assert found.count("stablehlo.dot_general") == 5
