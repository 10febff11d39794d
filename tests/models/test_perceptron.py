"""One neuron, and XOR: what it can't solve (Minsky & Papert 1969), and what can."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.models.mlp import Mlp
from research.models.network import network
from research.models.perceptron import Perceptron

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
XOR = np.array([0, 1, 1, 0])


def images(corners):
    return jnp.asarray(corners).reshape(4, 1, 2, 1)


def neuron(activation, weights, bias):
    """The outputs of a perceptron with given weights on the four corners."""
    params = {"logits": {"kernel": jnp.asarray(weights)[:, None], "bias": jnp.asarray([bias])}}
    net = network(Perceptron(activation=activation), 1)
    return np.asarray(net.apply({"params": params}, images(CORNERS)))[:, 0]


def train(model, corners, seeds, steps, learning_rate):
    """Accuracies on XOR by seed, after gradient descent on the squared error."""
    net = network(model, 1)
    x = images(corners)

    def loss_of(params):
        return ((net.apply({"params": params}, x)[:, 0] - XOR) ** 2).mean()

    def run(seed):
        def step(params, _):
            gradient = jax.grad(loss_of)(params)
            return jax.tree.map(lambda w, g: w - learning_rate * g, params, gradient), None

        params = net.init(jax.random.key(seed), x)["params"]
        params, _ = jax.lax.scan(step, params, length=steps)
        return ((net.apply({"params": params}, x)[:, 0] > 0.5) == XOR).mean()

    return np.asarray(jax.jit(jax.vmap(run))(jnp.arange(seeds)))


def test_perceptron_is_activation_of_one_weighted_sum_for_each_output():
    x = np.random.default_rng(0).normal(size=(5, 3, 2, 1)).astype(np.float32)
    net = network(Perceptron(activation="tanh"), 4)
    variables = net.init(jax.random.key(0), x)
    weights = variables["params"]["logits"]
    assert weights["kernel"].shape == (6, 4) and list(variables["params"]) == ["logits"]
    expected = np.tanh(x.reshape(5, 6) @ weights["kernel"] + weights["bias"])
    np.testing.assert_allclose(net.apply(variables, x), expected, atol=1e-6)


def test_linear_threshold_neuron_never_exceeds_three_corners_of_xor():
    # All that a line can do to four corners is done by some of these.
    grid = np.linspace(-2, 2, 41)
    w1, w2, b = np.meshgrid(grid, grid, grid, indexing="ij")
    z = w1[..., None] * CORNERS[:, 0] + w2[..., None] * CORNERS[:, 1] + b[..., None]
    assert ((z > 0) == XOR).mean(axis=-1).max() == 0.75
    trained = train(Perceptron(), CORNERS, seeds=10, steps=500, learning_rate=0.1)
    assert trained.max() <= 0.75


def test_linear_threshold_neuron_computes_and_and_or():
    np.testing.assert_array_equal(neuron("step", [1.0, 1.0], -1.5), [0, 0, 0, 1])
    np.testing.assert_array_equal(neuron("step", [1.0, 1.0], -0.5), [0, 1, 1, 1])


def test_one_dendritic_neuron_solves_xor():
    np.testing.assert_array_equal(neuron("ada", [4.0, 4.0], -3.0) > 0.5, XOR)


def test_one_oscillating_neuron_learns_xor():
    model = Perceptron(activation="gcu")
    accuracies = train(model, 2 * CORNERS - 1, seeds=10, steps=500, learning_rate=0.1)
    assert (accuracies == 1).sum() >= 9


def test_two_hidden_threshold_units_solve_xor():
    net = network(Mlp(widths=(2,), activation="step"), 1)
    hidden = {"kernel": jnp.array([[1.0, -1], [1, -1]]), "bias": jnp.array([-0.5, 1.5])}
    output = {"kernel": jnp.array([[1.0], [1]]), "bias": jnp.array([-1.5])}
    params = {"dense_0": hidden, "logits": output}  # OR, NAND; then AND
    found = net.apply({"params": params}, images(CORNERS))[:, 0]
    np.testing.assert_array_equal(found > 0, XOR)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_two_hidden_units_learn_xor(activation):
    model = Mlp(widths=(2,), activation=activation)
    accuracies = train(model, 2 * CORNERS - 1, seeds=10, steps=3000, learning_rate=0.5)
    assert (accuracies == 1).sum() >= 5


def test_steps_in_one_layer_can_be_trained_by_nothing_but_their_outputs():
    trained = train(Perceptron(activation="step"), CORNERS, seeds=3, steps=10, learning_rate=1.0)
    fresh = train(Perceptron(activation="step"), CORNERS, seeds=3, steps=0, learning_rate=1.0)
    np.testing.assert_array_equal(trained, fresh)
