"""Frozen layers, and Monte Carlo dropout: which layers train, and which work as at evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.models.cnn import Cnn
from research.models.mlp import Mlp
from research.models.network import network

IMAGES = np.random.default_rng(0).normal(2.0, 3.0, size=(6, 8, 8, 2)).astype(np.float32)
MODEL = Cnn(stages=((3,), (4,)), widths=(5,), dropout_rate=0.5)


def frozen_first_stage(path):
    return path.startswith("conv_0")


@pytest.fixture(scope="module")
def variables():
    return network(MODEL, 7).init(jax.random.key(0), IMAGES)


def training_statistics(frozen, variables):
    net = network(MODEL, 7, frozen)
    return net.apply(variables, IMAGES, train=True, dropout_key=jax.random.key(1))


def test_frozen_parameters_have_no_gradient_and_the_others_have(variables):
    net = network(MODEL, 7, frozen_first_stage)

    def loss_of(params):
        logits, _ = net.apply(
            {**variables, "params": params}, IMAGES, train=True, dropout_key=jax.random.key(1)
        )
        return (logits**2).sum()

    gradient = jax.grad(loss_of)(variables["params"])
    for layer, leaves in gradient.items():
        for leaf in leaves.values():
            assert leaf.any() != layer.startswith("conv_0")


def test_batch_norm_with_a_frozen_scale_keeps_its_statistics_and_the_others_go_on(variables):
    _, after = training_statistics(frozen_first_stage, variables)
    before = variables["batch_stats"]
    for layer, statistics in after.items():
        for name, found in statistics.items():
            assert (found != before[layer][name]).any() != layer.startswith("conv_0")


def test_batch_norm_with_a_frozen_scale_normalises_as_at_evaluation():
    # Without dropout and with all frozen, training computes what evaluation does.
    model = Cnn(stages=((3,),), widths=(5,))
    net = network(model, 7, lambda path: True)
    variables = net.init(jax.random.key(0), IMAGES)
    trained, _ = net.apply(variables, IMAGES, train=True, dropout_key=jax.random.key(1))
    np.testing.assert_array_equal(trained, net.apply(variables, IMAGES))
    free, _ = network(model, 7).apply(variables, IMAGES, train=True, dropout_key=jax.random.key(1))
    assert np.abs(free - trained).max() > 0.1


def test_freezing_a_kernel_leaves_its_batch_norm_free(variables):
    _, after = training_statistics(lambda path: path == "conv_0_0/kernel", variables)
    assert (
        after["conv_0_0_norm"]["mean"] != variables["batch_stats"]["conv_0_0_norm"]["mean"]
    ).any()


def test_sample_drops_units_and_normalises_as_at_evaluation(variables):
    net = network(MODEL, 7)
    keys = [jax.random.key(seed) for seed in (0, 0, 1)]
    one, same, other = (net.sample(variables, IMAGES, key) for key in keys)
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    # No statistics of the batch: the first two images give the same without the others,
    # but for their masks; without dropout samples are what evaluation gives.
    plain = network(Cnn(stages=((3,), (4,)), widths=(5,)), 7)
    found = plain.sample(variables, IMAGES, jax.random.key(0))
    np.testing.assert_array_equal(found, plain.apply(variables, IMAGES))


def test_variance_of_monte_carlo_dropout_of_a_linear_layer_is_that_of_the_formula():
    rate, draws = 0.3, 20_000
    model = Mlp(widths=(12,), activation="identity", dropout_rate=rate)
    net = network(model, 1)
    x = np.random.default_rng(0).normal(size=(1, 1, 12, 1)).astype(np.float32)
    w = np.random.default_rng(1).normal(size=(12, 1)).astype(np.float32)
    # The layer before the dropout hands its inputs on.
    params = {
        "dense_0": {"kernel": jnp.eye(12), "bias": jnp.zeros(12)},
        "logits": {"kernel": jnp.asarray(w), "bias": jnp.zeros(1)},
    }
    sample = jax.jit(jax.vmap(lambda key: net.sample({"params": params}, x, key)[0, 0]))
    outputs = np.asarray(sample(jax.random.split(jax.random.key(0), draws)))
    expected = float(rate / (1 - rate) * ((w[:, 0] * x.ravel()) ** 2).sum())
    assert outputs.var() == pytest.approx(expected, rel=0.02)
    assert outputs.mean() == pytest.approx(
        float(x.ravel() @ w[:, 0]), abs=5 * (expected / draws) ** 0.5
    )
