"""A model is a pair of pure functions: init and apply."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.models.base import COMPUTE_DTYPES
from research.models.cnn import Cnn
from research.models.mlp import Mlp
from research.models.network import network

IMAGES = np.random.default_rng(0).normal(size=(6, 8, 8, 2)).astype(np.float32)

MODELS = {
    "mlp": lambda **options: Mlp(widths=(5,), batch_norm=True, dropout_rate=0.5, **options),
    "cnn": lambda **options: Cnn(
        stages=((3,), (4,)), widths=(5,), dropout_rate=0.5, stage_dropout_rate=0.5, **options
    ),
}


@pytest.fixture(params=MODELS)
def net(request):
    return network(MODELS[request.param](), num_classes=7)


def assert_trees_equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("compute_dtype", COMPUTE_DTYPES)
@pytest.mark.parametrize("model", MODELS)
def test_logits_and_variables_are_float32_whatever_the_layers_compute_in(
    model, compute_dtype, train
):
    net = network(MODELS[model](compute_dtype=compute_dtype), num_classes=7)
    key = jax.random.key(0)
    variables = jax.eval_shape(net.init, key, IMAGES)
    outputs = jax.eval_shape(
        lambda variables: net.apply(variables, IMAGES, train=train, dropout_key=key), variables
    )
    logits = outputs[0] if train else outputs
    assert (logits.shape, logits.dtype) == ((6, 7), jnp.float32)
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, outputs))} == {jnp.dtype("float32")}


def test_bfloat16_changes_what_layers_compute_in():
    key = jax.random.key(0)
    full, half = (
        network(Mlp(widths=(5,), compute_dtype=dtype), 7) for dtype in ("float32", "bfloat16")
    )
    variables = full.init(key, IMAGES)
    exact, rounded = full.apply(variables, IMAGES), half.apply(variables, IMAGES)
    assert (rounded == rounded.astype(jnp.bfloat16)).all()
    assert not (exact == exact.astype(jnp.bfloat16)).all()
    np.testing.assert_allclose(rounded, exact, atol=0.1)


def test_init_is_a_function_of_the_key_and_the_shape(net):
    one = net.init(jax.random.key(3), IMAGES)
    assert_trees_equal(one, net.init(jax.random.key(3), jnp.zeros((1, 8, 8, 2))))
    other = net.init(jax.random.key(4), IMAGES)
    for (path, value), changed in zip(
        jax.tree.leaves_with_path(one["params"]), jax.tree.leaves(other["params"]), strict=True
    ):
        if path[-1].key == "kernel":
            assert (value != changed).any()


def test_training_depends_on_the_dropout_key_alone(net):
    variables = net.init(jax.random.key(0), IMAGES)
    keys = [jax.random.key(seed) for seed in (1, 1, 2)]
    one, same, other = (net.apply(variables, IMAGES, train=True, dropout_key=k) for k in keys)
    assert_trees_equal(one, same)
    assert (one[0] != other[0]).any()


def test_evaluation_draws_nothing_and_updates_nothing(net):
    variables = net.init(jax.random.key(0), IMAGES)
    logits = net.apply(variables, IMAGES)
    np.testing.assert_array_equal(logits, net.apply(variables, IMAGES))
    # One example at a time gives the same: no statistics of the batch are used.
    one_by_one = jnp.concatenate([net.apply(variables, IMAGES[i : i + 1]) for i in range(6)])
    np.testing.assert_allclose(logits, one_by_one, atol=1e-5)


def test_training_returns_updated_statistics_and_leaves_the_old_ones(net):
    variables = net.init(jax.random.key(0), IMAGES)
    before = jax.tree.map(np.array, variables["batch_stats"])
    _, after = net.apply(variables, IMAGES, train=True, dropout_key=jax.random.key(0))
    assert_trees_equal(before, variables["batch_stats"])
    assert jax.tree.structure(after) == jax.tree.structure(before)
    assert all((a != b).any() for a, b in zip(*map(jax.tree.leaves, (after, before)), strict=True))


def test_model_without_batch_norm_has_no_statistics():
    net = network(Mlp(widths=(5,)), 7)
    variables = net.init(jax.random.key(0), IMAGES)
    assert set(variables) == {"params"}
    _, statistics = net.apply(variables, IMAGES, train=True, dropout_key=jax.random.key(0))
    assert statistics == {}
