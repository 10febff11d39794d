"""Optimizers against the algorithms of their papers, transcribed into numpy, in float64."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.optimizers import OPTIMIZERS, Optimizer
from research.optimizers.adabound import AdaBound, AmsBound
from research.optimizers.adagrad import AdaGrad
from research.optimizers.chain import make_chain
from research.optimizers.lion import Lion
from research.optimizers.muon import Muon
from research.optimizers.rmsprop import RmsProp
from research.optimizers.schedules import InverseSqrt
from tests.optimizers.test_adam import adam
from tests.optimizers.updates import assert_equal, trajectory, transcription

LEARNING_RATE = 0.05


def adagrad(initial=0.2, eps=1e-2):
    """Duchi, Hazan & Singer 2011, figure 1, with ε under the root."""

    def make_rule():
        s = initial

        def rule(gradient):
            nonlocal s
            s = s + gradient**2
            return gradient / np.sqrt(s + eps)

        return rule

    return make_rule


def rmsprop(decay=0.8, eps=1e-2):
    """Tieleman & Hinton 2012, lecture 6e."""

    def make_rule():
        v = 0.0

        def rule(gradient):
            nonlocal v
            v = decay * v + (1 - decay) * gradient**2
            return gradient / (np.sqrt(v) + eps)

        return rule

    return make_rule


def radam(b1=0.9, b2=0.999):
    """Liu et al. 2020 (arXiv:1908.03265), algorithm 2."""
    longest = 2 / (1 - b2) - 1

    def make_rule():
        m, v, t = 0.0, 0.0, 0

        def rule(gradient):
            nonlocal m, v, t
            t += 1
            v = b2 * v + (1 - b2) * gradient**2
            m = b1 * m + (1 - b1) * gradient
            length = longest - 2 * t * b2**t / (1 - b2**t)
            if length <= 4:
                return m / (1 - b1**t)
            r = (length - 4) * (length - 2) * longest
            r /= (longest - 4) * (longest - 2) * length
            # As the authors' program, the paper's 4 is 5: from 4 to 5 r is still almost 0.
            return (
                (np.sqrt(r) if length >= 5 else 1)
                * (m / (1 - b1**t))
                / (np.sqrt(v / (1 - b2**t)) if length >= 5 else 1)
            )

        return rule

    return make_rule


def adabelief(b1=0.9, b2=0.999, eps=1e-3):
    """Zhuang et al. 2020 (arXiv:2010.07468), algorithm 2."""

    def make_rule():
        m, s, t = 0.0, 0.0, 0

        def rule(gradient):
            nonlocal m, s, t
            t += 1
            m = b1 * m + (1 - b1) * gradient
            s = b2 * s + (1 - b2) * (gradient - m) ** 2 + eps
            return (m / (1 - b1**t)) / (np.sqrt(s / (1 - b2**t)) + eps)

        return rule

    return make_rule


def adabound(final, gamma, largest=False, b1=0.9, b2=0.999):
    """Luo et al. 2019 (arXiv:1902.09843), algorithm 2, and 3 with the largest v.

    The bounds are those of its section 4, where 0.1 is `final`, and γ is 1 − β₂.
    """

    def make_rule():
        m, v, v_max, t = 0.0, 0.0, 0.0, 0

        def rule(gradient):
            nonlocal m, v, v_max, t
            t += 1
            m = b1 * m + (1 - b1) * gradient
            v = b2 * v + (1 - b2) * gradient**2
            v_max = np.maximum(v_max, v) if largest else v
            lower = final - final / (gamma * t + 1)
            upper = final + final / (gamma * t)
            clipped = np.clip(LEARNING_RATE / np.sqrt(v_max), lower, upper)
            # `transcription` multiplies by the learning rate.
            return clipped / np.sqrt(t) * m / LEARNING_RATE

        return rule

    return make_rule


def adabound_program(final, gamma, eps, largest=False, b1=0.9, b2=0.999):
    """The program that the authors of AdaBound published, adabound 0.0.5."""

    def make_rule():
        m, v, v_max, t = 0.0, 0.0, 0.0, 0

        def rule(gradient):
            nonlocal m, v, v_max, t
            t += 1
            m = b1 * m + (1 - b1) * gradient
            v = b2 * v + (1 - b2) * gradient**2
            v_max = np.maximum(v_max, v) if largest else v
            step_size = LEARNING_RATE * np.sqrt(1 - b2**t) / (1 - b1**t)
            lower = final * (1 - 1 / (gamma * t + 1))
            upper = final * (1 + 1 / (gamma * t))
            return np.clip(step_size / (np.sqrt(v_max) + eps), lower, upper) * m / LEARNING_RATE

        return rule

    return make_rule


def lion(b1=0.8, b2=0.95):
    """Chen et al. 2023 (arXiv:2302.06675), algorithm 2."""

    def make_rule():
        m = 0.0

        def rule(gradient):
            nonlocal m
            direction = np.sign(b1 * m + (1 - b1) * gradient)
            m = b2 * m + (1 - b2) * gradient
            return direction

        return rule

    return make_rule


CASES = {
    "adagrad": (AdaGrad(initial_accumulator=0.2, eps=1e-2), adagrad()),
    "rmsprop": (RmsProp(decay=0.8, eps=1e-2), rmsprop()),
    "radam": (OPTIMIZERS["radam"](eps=1e-300), radam()),
    "adabelief": (OPTIMIZERS["adabelief"](eps=1e-3), adabelief()),
    "lion": (Lion(b1=0.8, b2=0.95), lion()),
    "adabound": (AdaBound(final_learning_rate=0.3, eps=1e-4), adabound_program(0.3, 1e-3, 1e-4)),
    "amsbound": (
        AmsBound(gamma=0.02, eps=1e-4, b2=0.9),
        adabound_program(0.1, 0.02, 1e-4, largest=True, b2=0.9),
    ),
}


@pytest.mark.parametrize("penalties", [{}, {"l2": 0.1, "weight_decay": 0.2}], ids=["", "decayed"])
@pytest.mark.parametrize("name", CASES)
def test_hundred_steps_equal_the_formula(name, penalties):
    options, rule = CASES[name]
    options = type(options)(**{**vars(options), "learning_rate": LEARNING_RATE, **penalties})
    expected = transcription(rule, learning_rate=LEARNING_RATE, **penalties)
    assert_equal(trajectory(options), expected)


@pytest.mark.parametrize("cls", [AdaBound, AmsBound])
def test_adabound_equals_the_algorithm_of_the_paper(cls):
    options = cls(
        learning_rate=LEARNING_RATE,
        final_learning_rate=0.4,
        gamma=0.05,
        b2=0.95,
        eps=1e-300,
        bias_correction=False,
        schedule=InverseSqrt(),
    )
    rule = adabound(0.4, 0.05, largest=options.amsbound, b2=0.95)
    found = trajectory(options)
    assert_equal(found, transcription(rule, learning_rate=LEARNING_RATE))


def average_of_gradients(b1=0.9):
    m = 0.0

    def rule(gradient):
        nonlocal m
        m = b1 * m + (1 - b1) * gradient
        return m

    return rule


@pytest.mark.parametrize("learning_rate", [1e-4, 1e4])
def test_adabound_whose_bounds_have_met_is_sgd_with_the_final_learning_rate(learning_rate):
    found = trajectory(AdaBound(learning_rate=learning_rate, final_learning_rate=0.1, gamma=1e12))
    expected = transcription(average_of_gradients, learning_rate=0.1)
    assert_equal(found, expected, atol=1e-9)


def newton_schulz(matrix):
    """Five steps of Jordan et al. 2024, from a matrix of Frobenius norm 1."""
    x = matrix / (np.linalg.norm(matrix) + 1e-8)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x


def muon(beta=0.95):
    """Momentum with Nesterov's step, corrected for its start at 0 as Adam's in NAdam."""

    def make_rule():
        m, t = 0.0, 0

        def rule(gradient):
            nonlocal m, t
            t += 1
            m = beta * m + (1 - beta) * gradient
            ahead = beta * m / (1 - beta ** (t + 1)) + (1 - beta) * gradient / (1 - beta**t)
            inputs, outputs = gradient.shape
            return np.sqrt(max(1, outputs / inputs)) * newton_schulz(ahead)

        return rule

    return make_rule


def test_muon_is_orthogonalised_momentum_for_hidden_kernels_and_adam_for_the_rest():
    found = trajectory(Muon(learning_rate=LEARNING_RATE, adam_factor=0.2))

    def make_rule():
        by_muon, by_adam = muon()(), adam()()
        return lambda g: by_muon(g) if g.ndim == 2 else 0.2 * by_adam(g)

    assert_equal(found, transcription(make_rule, learning_rate=LEARNING_RATE), atol=1e-10)


@pytest.mark.parametrize("shape", [(20, 30), (3, 3, 4, 8)])
def test_muon_brings_all_singular_values_near_one(shape):
    params = {"conv_0": {"kernel": jnp.ones(shape)}, "logits": {"kernel": jnp.ones(shape)}}
    gradient = jax.tree.map(lambda leaf: jax.random.normal(jax.random.key(0), leaf.shape), params)
    chain = make_chain(Muon(learning_rate=1.0), 1).transformation
    updates, _ = jax.jit(chain.update)(gradient, chain.init(params), params)
    matrix = np.asarray(updates["conv_0"]["kernel"]).reshape(-1, shape[-1])
    values = np.linalg.svd(matrix, compute_uv=False) / max(1, matrix.shape[1] / len(matrix)) ** 0.5
    assert (values > 0.6).all() and (values < 1.3).all()
    # The layer of logits moves by Adam: by its learning rate in every coordinate.
    np.testing.assert_allclose(np.abs(updates["logits"]["kernel"]), 0.1, rtol=1e-4)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_names_its_source(name):
    sources = " ".join(cls.__doc__ for cls in OPTIMIZERS[name].__mro__ if cls is not Optimizer)
    assert re.search(r"\b(19|20)\d\d\b", sources)
