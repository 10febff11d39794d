"""Our convolution, whose gradients a CPU gets in another form, against XLA's own."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import export, lax
from jax.sharding import PartitionSpec

from research.models.cnn import Cnn
from research.models.convolution import conv_general_dilated
from research.models.network import network
from research.planning.flops import matmul_flops

SHAPES = {
    "one piece": ((3, 9, 6, 2), 5),
    "several pieces": ((32, 6, 7, 3), 4),
    "pieces of two examples": ((8, 32, 32, 2), 64),
}


def normal(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def ours(x, kernel, stride, padding):
    return conv_general_dilated(x, kernel, (stride, stride), padding)


def native(x, kernel, stride, padding):
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def same(height, width):
    """The padding of `layers.convolution`."""
    return tuple(((size - 1) // 2, size // 2) for size in (height, width))


@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def outputs(convolve, x, kernel, stride, padding):
    """The convolution, and its gradients for some gradient of the result."""
    y, gradients = jax.vjp(lambda x, kernel: convolve(x, kernel, stride, padding), x, kernel)
    g = jnp.asarray(normal(*y.shape, seed=2), jnp.bfloat16)  # exact in any dtype
    return y, *gradients(jnp.zeros_like(y) + g.astype(y.dtype))


def check_equal(x, kernel, stride, padding, tolerance):
    expected = outputs(native, x, kernel, stride, padding)
    for found, wanted in zip(outputs(ours, x, kernel, stride, padding), expected, strict=True):
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * scale)


@given(
    batch=st.sampled_from([1, 3, 8, 12, 16]),
    image=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    kernel=st.tuples(st.sampled_from([1, 2, 3, 5, 7]), st.sampled_from([1, 3, 4])),
    stride=st.integers(1, 3),
)
@settings(max_examples=12)
def test_convolution_and_both_gradients_equal_the_native_ones(
    batch, image, channels, kernel, stride
):
    with jax.enable_x64(True):
        x = normal(batch, *image, channels[0], dtype=np.float64)
        weights = normal(*kernel, *channels, seed=1, dtype=np.float64)
        check_equal(x, weights, stride, same(*kernel), tolerance=1e-10)


@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((2, 0), (1, 3)), ((3, 3), (3, 3))])
def test_any_padding_is_that_of_the_native_one(padding):
    with jax.enable_x64(True):
        x, kernel = normal(4, 7, 6, 2, dtype=float), normal(3, 3, 2, 3, dtype=float)
        check_equal(x, kernel, 2, padding, tolerance=1e-10)


@pytest.mark.parametrize(("shape", "features"), SHAPES.values(), ids=SHAPES)
def test_float32_loses_no_more_than_rounding(shape, features):
    x, kernel = normal(*shape), normal(3, 3, shape[-1], features, seed=1)
    check_equal(x, kernel, 1, same(3, 3), tolerance=1e-5)


def test_bfloat16_gradients_are_rounded_once():
    x, kernel = normal(32, 8, 8, 16), normal(3, 3, 16, 8, seed=1)
    rounded = [jnp.asarray(array, jnp.bfloat16) for array in (x, kernel)]
    exact = outputs(native, *(array.astype(np.float32) for array in rounded), 1, same(3, 3))
    for found, wanted in zip(outputs(ours, *rounded, 1, same(3, 3)), exact, strict=True):
        assert found.dtype == jnp.bfloat16
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(found.astype(np.float32), wanted, rtol=0, atol=0.01 * scale)


def test_derivatives_of_the_gradients_equal_the_native_ones():
    def penalty(convolve, x, kernel):
        def loss(x, kernel):
            return jnp.sum(jnp.tanh(convolve(x, kernel, 2, same(3, 3))))

        gradients = jax.grad(loss, argnums=(0, 1))(x, kernel)
        return sum(jnp.sum(gradient**3) for gradient in gradients)

    with jax.enable_x64(True):
        arrays = normal(4, 5, 6, 2, dtype=float), normal(3, 3, 2, 3, seed=1, dtype=float)
        found, expected = (
            jax.jit(jax.grad(functools.partial(penalty, convolve), argnums=(0, 1)))(*arrays)
            for convolve in (ours, native)
        )
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("axes", [(0, 0), (None, 0), (0, None)], ids=str)
def test_many_models_at_once_equal_each_alone(axes):
    arrays = normal(3, 16, 6, 6, 2), normal(3, 3, 3, 2, 4, seed=1)
    given = [array if axis == 0 else array[0] for array, axis in zip(arrays, axes, strict=True)]
    together = jax.vmap(lambda x, kernel: outputs(ours, x, kernel, 1, same(3, 3)), axes)(*given)
    for index in range(3):
        one = [
            array[index] if axis == 0 else array for array, axis in zip(given, axes, strict=True)
        ]
        alone = outputs(ours, *one, 1, same(3, 3))
        jax.tree.map(np.testing.assert_array_equal, [a[index] for a in together], list(alone))


def test_models_that_shard_map_divides_over_devices_are_convolved_like_others():
    mesh = jax.make_mesh((1,), ("replicas",), axis_types=(jax.sharding.AxisType.Auto,))
    x, kernel = normal(2, 16, 6, 6, 2), normal(2, 3, 3, 2, 4, seed=1)
    function = jax.vmap(lambda x, kernel: outputs(ours, x, kernel, 1, same(3, 3)))
    spec = PartitionSpec("replicas")
    divided = jax.jit(jax.shard_map(function, mesh=mesh, in_specs=spec, out_specs=spec))
    jax.tree.map(np.testing.assert_array_equal, divided(x, kernel), function(x, kernel))


def test_two_runs_give_the_same_bits():
    x, kernel = normal(64, 14, 14, 16), normal(3, 3, 16, 32, seed=1)
    first, second = (outputs(ours, x, kernel, 1, same(3, 3)) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize("options", [{"kernel_dilation": 2}, {"feature_group_count": 2}], ids=str)
def test_convolution_that_is_not_written_is_refused(options):
    layer = nn.Conv(4, (3, 3), conv_general_dilated=conv_general_dilated, **options)
    with pytest.raises(ValueError, match="only a plain convolution of images is written"):
        layer.init(jax.random.key(0), normal(1, 6, 6, 2))


@pytest.mark.parametrize("wanted", [(0,), (1,), (0, 1)], ids=["input", "kernel", "both"])
def test_a_gradient_that_is_not_wanted_is_not_computed(wanted):
    def flops(convolve):
        def loss(x, kernel):
            return jnp.sum(convolve(x, kernel, 2, same(3, 3)))

        arrays = normal(32, 8, 8, 2), normal(3, 3, 2, 4)
        return matmul_flops(jax.make_jaxpr(jax.grad(loss, argnums=wanted))(*arrays))

    assert flops(ours) == flops(native)


def many_steps():
    """Gradient descent on a CNN, of as many steps as asked for, and its arguments."""
    net = network(Cnn(stages=((8,), (32,)), widths=(8,), batch_norm=False), 10)
    x = normal(32, 12, 12, 1)

    def loss(params):
        logits, _ = net.apply({"params": params}, x, train=True, dropout_key=jax.random.key(0))
        return jnp.mean(logits**2)

    def step(_, params):
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(loss)(params))

    params = jax.jit(net.init)(jax.random.key(0), x)["params"]
    return jax.jit(lambda params, count: lax.fori_loop(0, count, step, params)), (params, 3)


def test_on_a_cpu_no_operation_of_a_training_step_in_a_loop_takes_the_slow_path():
    steps, arguments = many_steps()
    program = steps.lower(*arguments).compile().as_text()
    convolutions = re.findall(r" convolution\(.*dim_labels=(\S+?),? ", program)
    # Forward twice, the gradient of one input and of two kernels.
    assert len(convolutions) >= 5
    assert set(convolutions) == {"b01f_01io->b01f"}
    assert "reversal" not in program
    assert "reduce-window" not in program
    assert "select-and-scatter" not in program


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_on_other_platforms_a_training_step_is_that_of_the_native_layers(platform, monkeypatch):
    def operations():
        steps, arguments = many_steps()
        text = export.export(steps, platforms=[platform])(*arguments).mlir_module()
        # A choice by platform is left with one branch, which the compiler takes.
        return sorted(set(re.findall(r"stablehlo\.(?!case)\w+", text))), {
            name: text.count(f"stablehlo.{name}")
            for name in ("convolution", "reduce_window", "select_and_scatter", "while")
        }

    found = operations()
    monkeypatch.setattr("research.models.layers.conv_general_dilated", lax.conv_general_dilated)
    monkeypatch.setattr(
        "research.models.layers.max_pool",
        lambda x, size: nn.max_pool(x, (size, size), strides=(size, size)),
    )
    assert found == operations()
    counts = {"convolution": 5, "reduce_window": 2, "select_and_scatter": 2, "while": 1}
    assert found[1] == counts
