"""Gradients layer by layer: they add up, and under sigmoids they vanish towards the input."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research import metrics
from research.gradients import PREFIX, norm_of_each_layer, with_norm
from research.models.mlp import Mlp
from research.models.network import network
from tests import tiny
from tests.runs import experiment, run

DEPTH = 10


def layer_norms(activation):
    """Norms of the gradients of ten hidden layers of width 64, from the input to the output."""
    net = network(Mlp(widths=(64,) * DEPTH, activation=activation), 3)
    x = np.random.default_rng(0).normal(size=(128, 16, 1, 1)).astype(np.float32)
    labels = np.arange(128) % 3
    variables = net.init(jax.random.key(0), x)

    def loss_of(params):
        logits = net.apply({"params": params}, x)
        return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    found = norm_of_each_layer(jax.grad(loss_of)(variables["params"]))
    return np.array([found[f"{PREFIX}dense_{index}"] for index in range(DEPTH)])


@pytest.mark.parametrize("shape", [(), (7,), (64, 10), (300, 200), (3, 3, 4, 8)], ids=str)
def test_whole_norm_is_that_of_all_elements_and_the_gradient_stays_as_it_is(shape):
    kernel = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    gradient, norm = jax.jit(with_norm)({"kernel": kernel, "bias": np.float32([3.0, 4.0])})
    expected = np.sqrt(np.sum(np.square(kernel, dtype=np.float64)) + 25)
    np.testing.assert_allclose(norm, expected, rtol=1e-6)
    np.testing.assert_array_equal(gradient["kernel"], kernel)


def test_norms_of_the_layers_are_parts_of_the_whole_norm():
    gradient = {"a": {"kernel": jnp.array([3.0, 0]), "bias": jnp.array([4.0])}, "b": jnp.ones(11)}
    found = norm_of_each_layer(gradient)
    assert found == {"gradient_norm/a": 5.0, "gradient_norm/b": pytest.approx(11**0.5)}
    assert sum(norm**2 for norm in found.values()) == pytest.approx(
        float(optax.tree.norm(gradient)) ** 2
    )


def test_gradient_vanishes_under_sigmoids_and_not_under_rectifiers():
    sigmoid, relu = layer_norms("sigmoid"), layer_norms("relu")
    # Nine sigmoids lie between the first layer and the last, of slope 1/4 at most.
    assert sigmoid[0] / sigmoid[-1] < 0.25**5
    assert (sigmoid[:-1] < sigmoid[1:]).all()
    assert 0.01 < relu[0] / relu[-1] < 100


def test_line_of_metrics_has_the_layers_of_the_gradient_where_it_is_asked_for(tmp_path):
    options = ["--config.steps=4", "--config.logging.every_steps=1", "--config.model.widths=(8,)"]
    run(experiment(*options, "--config.logging.layer_gradients"), tmp_path / "with")
    run(experiment(*options), tmp_path / "without")
    for line in metrics.read(tmp_path / "with" / "metrics.jsonl"):
        if line["split"] == "train":
            layers = {name: value for name, value in line.items() if name.startswith(PREFIX)}
            assert set(layers) == {f"{PREFIX}{n}" for n in ("dense_0", "dense_0_norm", "logits")}
            whole = sum(value**2 for value in layers.values()) ** 0.5
            assert line["gradient_norm"] == pytest.approx(whole, rel=1e-5)
    for line in metrics.read(tmp_path / "without" / "metrics.jsonl"):
        assert not any(name.startswith(PREFIX) for name in line)


def test_frozen_layers_have_no_gradient():
    from research.experiment import Logging
    from research.optimizers.sgd import Sgd

    chosen = tiny.experiment(
        logging=Logging(layer_gradients=True), optimizer=Sgd(freeze=("dense_0",))
    )
    steps = tiny.steps(chosen)
    _, found = steps.train_step(steps.init(), tiny.batch(12))
    assert found[f"{PREFIX}dense_0"] == 0 < found[f"{PREFIX}logits"]
