"""The layers that models are made of, against numpy and scipy."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from scipy.signal import correlate2d

from research.models import layers
from research.models.cnn import Cnn
from research.models.mlp import Mlp

MOMENTUM, EPSILON = 0.9, 1e-5

IDENTITY = np.pad([[1.0]], 1)
SOBEL = np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
BLUR = np.outer([1.0, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


class Calling(nn.Module):
    """A Flax module that calls a function of research.models.layers."""

    function: Callable

    @nn.compact
    def __call__(self, x, train=False):
        return self.function(x, train)


def dense(features=3, **options):
    return Calling(
        lambda x, train: layers.dense(Mlp(**options), x, features, train=train, name="dense")
    )


def convolution(features=1, kernel_size=3, stride=1, **options):
    model = Cnn(**options)

    def call(x, train):
        x = layers.convolution(
            model, x, features, kernel_size=kernel_size, stride=stride, train=train, name="conv"
        )
        return layers.activate(model, x, name="conv")

    return Calling(call)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_dense_layer_is_activation_of_weighted_sum():
    x = normal(5, 4)
    module = dense(activation="tanh")
    variables = module.init(jax.random.key(0), x)
    weights = variables["params"]["dense"]
    np.testing.assert_array_equal(weights["bias"], np.zeros(3))
    expected = np.tanh(x @ weights["kernel"] + weights["bias"])
    np.testing.assert_allclose(module.apply(variables, x), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("module", "x", "axes"),
    [
        (dense(activation="relu", batch_norm=True), normal(16, 4), 0),
        (convolution(3, activation="relu", batch_norm=True), normal(4, 5, 5, 2), (0, 1, 2)),
    ],
    ids=["dense", "convolution"],
)
def test_batch_norm_stands_before_the_activation(module, x, axes):
    variables = module.init(jax.random.key(0), x)
    (name, weights), (norm_name, norm) = variables["params"].items()
    assert set(weights) == {"kernel"}  # a bias would be subtracted again
    assert (norm_name, set(norm)) == (f"{name}_norm", {"scale", "bias"})
    norm = {"scale": normal(3, seed=1), "bias": normal(3, seed=2)}
    before = {"mean": normal(3, seed=3), "var": np.square(normal(3, seed=4))}
    variables = {
        "params": {name: weights, norm_name: norm},
        "batch_stats": {norm_name: before},
    }
    found, updates = module.apply(variables, x, train=True, mutable=["batch_stats"])

    if name == "dense":
        z = x.astype(np.float64) @ weights["kernel"]
    else:
        z = np.stack(
            [
                [
                    sum(
                        correlate2d(image[..., c], weights["kernel"][..., c, k], "same")
                        for c in range(image.shape[-1])
                    )
                    for k in range(3)
                ]
                for image in x.astype(np.float64)
            ]
        ).transpose(0, 2, 3, 1)
    # Ioffe & Szegedy 2015, algorithm 1.
    mean, variance = z.mean(axes), z.var(axes)
    normalized = norm["scale"] * (z - mean) / np.sqrt(variance + EPSILON) + norm["bias"]
    np.testing.assert_allclose(found, np.maximum(normalized, 0), atol=1e-5)
    after = updates["batch_stats"][norm_name]
    for name, batch_value in (("mean", mean), ("var", variance)):
        expected = MOMENTUM * before[name] + (1 - MOMENTUM) * batch_value
        np.testing.assert_allclose(after[name], expected, rtol=1e-5, atol=1e-6)

    evaluated = module.apply(variables, x)
    normalized = norm["scale"] * (z - before["mean"]) / np.sqrt(before["var"] + EPSILON)
    np.testing.assert_allclose(
        evaluated, np.maximum(normalized + norm["bias"], 0), rtol=1e-4, atol=1e-5
    )


def test_batch_norm_while_training_equals_pytorch():
    torch = pytest.importorskip("torch", reason="the oracle is PyTorch")
    x = normal(32, 6, 5, 4)
    module = Calling(lambda x, train: layers.normalize(Cnn(), x, train=train, name="conv"))
    scale, bias = normal(4, seed=1), normal(4, seed=2)
    variables = {
        "params": {"conv_norm": {"scale": scale, "bias": bias}},
        "batch_stats": {"conv_norm": {"mean": np.zeros(4), "var": np.ones(4)}},
    }
    found, updates = module.apply(variables, x, train=True, mutable=["batch_stats"])
    # PyTorch's momentum is one minus Flax's.
    norm = torch.nn.BatchNorm2d(4, momentum=1 - MOMENTUM)
    with torch.no_grad():
        norm.weight[:], norm.bias[:] = torch.tensor(scale), torch.tensor(bias)
        expected = norm(torch.tensor(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    after = updates["batch_stats"]["conv_norm"]
    np.testing.assert_allclose(after["mean"], norm.running_mean, atol=1e-6)
    # PyTorch's running variance divides by n − 1.
    count = x.size // 4
    unbiased = (norm.running_var.numpy() - MOMENTUM) * (count - 1) / count + MOMENTUM
    np.testing.assert_allclose(after["var"], unbiased, atol=1e-6)


@pytest.mark.parametrize(
    "kernel", [IDENTITY, SOBEL, SOBEL.T, BLUR], ids=["identity", "sobel x", "sobel y", "blur"]
)
def test_convolution_correlates_the_zero_padded_image_with_the_kernel(kernel):
    image = normal(9, 6)
    module = convolution(kernel_size=len(kernel), activation="identity", batch_norm=False)
    variables = {"params": {"conv": {"kernel": kernel[:, :, None, None], "bias": np.zeros(1)}}}
    found = module.apply(variables, image[None, :, :, None])
    assert found.shape == (1, 9, 6, 1)
    np.testing.assert_allclose(found[0, :, :, 0], correlate2d(image, kernel, "same"), atol=1e-6)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(("height", "width"), [(5, 8), (1, 1)])
def test_convolution_keeps_height_and_width(kernel_size, height, width):
    x = jnp.zeros((2, height, width, 3))
    module = convolution(4, kernel_size=kernel_size, batch_norm=False)
    shape = jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), x)[0]).shape
    assert shape == (2, height, width, 4)


@pytest.mark.parametrize("kernel_size", [1, 3, 7])
@pytest.mark.parametrize(("height", "width"), [(8, 6), (9, 5)])
def test_strided_convolution_takes_every_second_pixel_from_the_first(kernel_size, height, width):
    image = normal(1, height, width, 1)
    options = {"kernel_size": kernel_size, "activation": "identity", "batch_norm": False}
    whole, strided = convolution(**options), convolution(stride=2, **options)
    variables = whole.init(jax.random.key(0), image)
    expected = whole.apply(variables, image)[:, ::2, ::2]
    np.testing.assert_allclose(strided.apply(variables, image), expected, atol=1e-6)


@pytest.mark.parametrize(("pooling", "reduce"), [("max", np.max), ("average", np.mean)])
def test_pooling_reduces_windows_and_cuts_what_is_left_over(pooling, reduce):
    x = normal(2, 7, 5, 3)
    found = layers.pool(Cnn(pooling=pooling, pool_size=2), x)
    windows = x[:, :6, :4].reshape(2, 3, 2, 2, 2, 3)
    np.testing.assert_allclose(found, reduce(windows, axis=(2, 4)), atol=1e-6)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_pooling_by_one_leaves_the_image_as_it_is(pooling):
    x = normal(2, 7, 5, 3)
    np.testing.assert_array_equal(layers.pool(Cnn(pooling=pooling, pool_size=1), x), x)


@pytest.fixture(scope="module")
def drop():
    """(input, key) -> what dropout with rate 0.3 makes of it in training."""
    module = Calling(lambda x, train: layers.dropout(x, 0.3, train=train))
    return lambda x, key: module.apply({}, x, train=True, rngs={"dropout": key})


def test_dropout_zeroes_the_given_share_and_scales_up_the_rest(drop):
    kept = np.asarray(drop(jnp.ones((200, 500)), jax.random.key(0)))
    values, counts = np.unique(kept, return_counts=True)
    np.testing.assert_allclose(values, [0, 1 / 0.7], rtol=1e-6)
    # Five standard deviations of a binomial share over 100,000 draws.
    assert counts[0] / kept.size == pytest.approx(0.3, abs=5 * (0.3 * 0.7 / kept.size) ** 0.5)


def test_dropout_mask_is_a_function_of_the_key(drop):
    x = jnp.ones((20, 50))
    one, same, other = (drop(x, jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_dropout_is_off_at_evaluation():
    x = normal(20, 50)
    module = Calling(lambda x, train: layers.dropout(x, 0.3, train=train))
    np.testing.assert_array_equal(module.apply({}, x, train=False), x)


def test_dense_layer_drops_after_the_activation():
    x = normal(6, 4)
    module = dense(50, activation="sigmoid", dropout_rate=0.5)
    variables = module.init(jax.random.key(0), x)
    evaluated = np.asarray(module.apply(variables, x))
    trained = np.asarray(
        module.apply(variables, x, train=True, rngs={"dropout": jax.random.key(1)})
    )
    assert (evaluated > 0).all()
    dropped = trained == 0
    assert 0 < dropped.sum() < dropped.size
    np.testing.assert_allclose(trained[~dropped], 2 * evaluated[~dropped], rtol=1e-6)
