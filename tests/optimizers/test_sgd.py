"""SGD, momentum and Nesterov momentum against their formulas, in float64."""

import numpy as np
import pytest

from research.optimizers import OPTIMIZERS
from research.optimizers.sgd import Momentum, Nesterov, Sgd
from tests.optimizers.updates import assert_equal, largest_difference, trajectory, transcription

LEARNING_RATE = 0.05
PENALTIES = [{}, {"l2": 0.1}, {"weight_decay": 0.1}, {"l2": 0.1, "weight_decay": 0.2}]


def sgd(momentum=0.0, nesterov=False):
    """Polyak 1964; Nesterov 1983 in the form of Sutskever et al. 2013."""

    def make_rule():
        velocity = np.zeros(())

        def rule(gradient):
            nonlocal velocity
            velocity = momentum * velocity + gradient
            return momentum * velocity + gradient if nesterov else velocity

        return rule

    return make_rule


RULES = {"sgd": sgd(), "momentum": sgd(0.9), "nesterov": sgd(0.9, nesterov=True)}


@pytest.mark.parametrize("penalties", PENALTIES, ids=lambda penalties: " and ".join(penalties))
@pytest.mark.parametrize("name", RULES)
def test_hundred_steps_equal_the_formula(name, penalties):
    options = OPTIMIZERS[name](learning_rate=LEARNING_RATE, **penalties)
    expected = transcription(RULES[name], learning_rate=LEARNING_RATE, **penalties)
    assert_equal(trajectory(options), expected)


def test_l2_and_decoupled_decay_are_the_same_for_plain_sgd():
    coupled, decoupled = (
        trajectory(Sgd(learning_rate=LEARNING_RATE, **{penalty: 0.1}))
        for penalty in ("l2", "weight_decay")
    )
    assert_equal(coupled, decoupled)


def test_l2_and_decoupled_decay_differ_under_momentum():
    coupled, decoupled = (
        trajectory(Momentum(learning_rate=LEARNING_RATE, **{penalty: 0.1}))
        for penalty in ("l2", "weight_decay")
    )
    assert largest_difference(coupled, decoupled) > 1e-2


def test_names_are_settings_of_one_rule():
    options = {"learning_rate": LEARNING_RATE, "momentum": 0.5}
    assert_equal(trajectory(Momentum(**options)), trajectory(Sgd(**options)))
    assert_equal(trajectory(Nesterov(**options)), trajectory(Sgd(**options, nesterov=True)))
