"""The multi-layer perceptron."""

import jax
import numpy as np
import pytest

from research.models.mlp import Mlp
from research.models.network import network

IMAGES = np.random.default_rng(0).normal(size=(6, 3, 3, 2)).astype(np.float32)


def variables_of(model, num_classes=4):
    return network(model, num_classes).init(jax.random.key(0), IMAGES)


def test_mlp_is_layers_of_weighted_sums_and_activations():
    model = Mlp(widths=(8, 5), activation="tanh")
    variables = variables_of(model)
    params = variables["params"]
    assert list(params) == ["dense_0", "dense_1", "logits"]
    x = IMAGES.reshape(6, -1).astype(np.float64)
    for name in ("dense_0", "dense_1"):
        x = np.tanh(x @ params[name]["kernel"] + params[name]["bias"])
    expected = x @ params["logits"]["kernel"] + params["logits"]["bias"]
    np.testing.assert_allclose(network(model, 4).apply(variables, IMAGES), expected, atol=1e-5)


def test_mlp_without_widths_is_logistic_regression():
    params = variables_of(Mlp(widths=()))["params"]
    assert jax.tree.map(np.shape, params) == {"logits": {"kernel": (18, 4), "bias": (4,)}}


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("widths", [(), (7,), (8, 5, 6)])
def test_number_of_parameters_follows_from_the_widths(widths, batch_norm):
    net = network(Mlp(widths=widths, batch_norm=batch_norm), num_classes=4)
    variables = jax.eval_shape(net.init, jax.random.key(0), IMAGES)
    sizes = (18, *widths, 4)
    kernels = sum(inputs * outputs for inputs, outputs in zip(sizes, sizes[1:], strict=False))
    # A bias a unit; or a scale and an offset, but for the logits a bias.
    offsets = sum(widths) * (2 if batch_norm else 1) + 4
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert count == kernels + offsets


def test_hidden_layers_and_logits_are_initialised_for_what_follows_them():
    model = Mlp(widths=(400,), activation="relu")
    images = np.zeros((1, 20, 20, 1))
    params = network(model, 400).init(jax.random.key(0), images)["params"]
    assert params["dense_0"]["kernel"].std() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert params["logits"]["kernel"].std() == pytest.approx((1 / 400) ** 0.5, rel=0.02)


def test_given_initialiser_takes_the_place_of_the_automatic_one():
    model = Mlp(widths=(400,), initializer="lecun_normal")
    params = network(model, 2).init(jax.random.key(0), np.zeros((1, 20, 20, 1)))["params"]
    assert params["dense_0"]["kernel"].std() == pytest.approx((1 / 400) ** 0.5, rel=0.02)
