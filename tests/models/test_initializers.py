"""Initialisers are what their papers say, and "auto" takes the one that fits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.models.activations import ACTIVATIONS
from research.models.initializers import INITIALIZERS, initializer
from research.models.mlp import Mlp
from research.records import warnings

VARIANCES = {
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
}
SCALED = [f"{family}_{form}" for family in VARIANCES for form in ("normal", "uniform", "gaussian")]

# A dense layer and a 3×3 convolution, with their numbers of inputs and outputs.
SHAPES = [((400, 250), 400, 250), ((3, 3, 60, 200), 540, 1800)]


def draw(name, shape, activation="relu", seed=0):
    return np.asarray(initializer(name, activation)(jax.random.key(seed), shape, jnp.float32))


def test_every_initializer_is_specified_here():
    assert set(INITIALIZERS) == {*SCALED, "orthogonal", "dirac", "standard_normal", "zeros"}


@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), SHAPES, ids=["dense", "convolution"])
@pytest.mark.parametrize("name", SCALED)
def test_initial_weights_have_the_standard_deviation_of_the_formula(name, shape, fan_in, fan_out):
    family, form = name.split("_")
    sd = VARIANCES[family](fan_in, fan_out) ** 0.5
    weights = draw(name, shape)
    assert weights.std() == pytest.approx(sd, rel=0.02)
    assert abs(weights.mean()) < 0.02 * sd
    largest = np.abs(weights).max() / sd
    if form == "uniform":
        assert largest <= np.sqrt(3) * (1 + 1e-6)
    elif form == "normal":  # truncated at two standard deviations of a wider one
        assert 2 < largest < 2.3
    else:
        assert largest > 3.5


def test_gaussian_form_has_the_tails_of_a_normal_distribution():
    weights = draw("lecun_gaussian", (400, 250)) * 400**0.5
    for tail, share in ((1, 0.3173), (2, 0.0455), (3, 0.0027)):
        expected = pytest.approx(share, abs=5 * (share / weights.size) ** 0.5)
        assert (np.abs(weights) > tail).mean() == expected


@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (3, 3, 4, 20)])
def test_orthogonal_weights_are_orthogonal(shape):
    weights = draw("orthogonal", shape).reshape(-1, shape[-1])
    smaller = min(weights.shape)
    product = weights.T @ weights if weights.shape[0] >= weights.shape[1] else weights @ weights.T
    np.testing.assert_allclose(product, np.eye(smaller), atol=1e-5)


@pytest.mark.parametrize(
    ("size", "inputs", "outputs"), [(3, 4, 9), (2, 4, 9), (1, 9, 4), (0, 4, 9)]
)
def test_dirac_weights_hand_the_inputs_on_as_the_first_outputs(size, inputs, outputs):
    x = np.random.default_rng(0).normal(size=(2, 6, 5, inputs)).astype(np.float32)
    if size:
        weights = draw("dirac", (size, size, inputs, outputs))
        padding = ((size - 1) // 2, size // 2)  # as research.models.layers has it
        found = jax.lax.conv_general_dilated(
            x, weights, (1, 1), (padding, padding), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    else:
        found = x @ draw("dirac", (inputs, outputs))
    handed_on = min(inputs, outputs)
    np.testing.assert_array_equal(found[..., :handed_on], x[..., :handed_on])


def test_other_outputs_of_dirac_weights_are_uniform_and_of_a_third_of_the_inverse_fan_in():
    others = draw("dirac", (3, 3, 40, 400))[..., 40:]
    assert np.abs(others).max() <= 360**-0.5 * (1 + 1e-6)
    assert others.var() == pytest.approx(1 / (3 * 360), rel=0.02)


def test_bad_initial_weights_are_bad_as_they_say():
    assert draw("standard_normal", (400, 250)).std() == pytest.approx(1, rel=0.02)
    assert not draw("zeros", (4, 5)).any()


@pytest.mark.parametrize(
    ("activations", "expected"),
    [
        (("relu", "leaky_relu", "prelu", "elu", "gelu", "silu", "gcu"), "he_normal"),
        (("sigmoid", "tanh"), "glorot_normal"),
        (("identity", "step", "ada"), "lecun_normal"),
    ],
)
def test_automatic_initialiser_fits_the_activation(activations, expected):
    for name in activations:
        assert ACTIVATIONS[name].initializer == expected
        np.testing.assert_array_equal(draw("auto", (5, 7), name), draw(expected, (5, 7), name))


@pytest.mark.parametrize("name", ["relu", "gcu", "ada", "tanh"])
def test_automatic_initialiser_neither_kills_nor_explodes_the_signal_over_depth(name):
    z = np.random.default_rng(0).normal(size=(500, 300)).astype(np.float32)
    for layer in range(20):
        weights = draw("auto", (300, 300), name, seed=layer)
        z = np.asarray(ACTIVATIONS[name].function(jnp.asarray(z @ weights)))
    assert 0.02 < z.std() < 2


def test_zeros_are_warned_of_because_units_stay_equal():
    assert warnings(Mlp(initializer="zeros"), "config.model") == [
        "config.model.initializer: units of a hidden layer that start at 'zeros' stay equal to "
        "each other"
    ]
