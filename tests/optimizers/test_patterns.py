"""Groups of parameters by patterns over their paths: frozen, or with another learning rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.optimizers import OPTIMIZERS
from research.optimizers.adam import Adam, AdamW
from research.optimizers.chain import make_chain
from research.optimizers.sgd import Sgd
from tests.optimizers.updates import assert_equal, parameters, trajectory

PATHS = ["dense/bias", "dense/kernel", "norm/bias", "norm/scale"]


def refusal(**fields):
    with pytest.raises(UserError) as error:
        Adam(**fields).check_paths(PATHS)
    return str(error.value)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_frozen_parameters_stay_as_they_are_to_the_last_bit(name):
    options = OPTIMIZERS[name](learning_rate=0.1, weight_decay=0.1, freeze=("dense/k", "^norm"))
    found = trajectory(options)
    for layer, leaf in (("dense", "kernel"), ("norm", "scale"), ("norm", "bias")):
        np.testing.assert_array_equal(found[layer][leaf][-1], parameters()[layer][leaf])
    assert (found["dense"]["bias"][-1] != parameters()["dense"]["bias"]).all()


def test_freezing_leaves_the_others_as_they_would_be():
    options = {"learning_rate": 0.05, "weight_decay": 0.1}
    found, free = trajectory(AdamW(**options, freeze=("bias",))), trajectory(AdamW(**options))
    for layer, leaf in (("dense", "kernel"), ("norm", "scale")):
        np.testing.assert_array_equal(found[layer][leaf], free[layer][leaf])


def test_optimizer_remembers_nothing_of_frozen_parameters():
    params = jax.tree.map(jnp.asarray, parameters())
    whole, part = (
        make_chain(Adam(freeze=freeze), 10).transformation.init(params)
        for freeze in ((), ("kernel",))
    )
    elements = [sum(leaf.size for leaf in jax.tree.leaves(state)) for state in (whole, part)]
    assert elements[0] - elements[1] == 2 * 12  # m and v of the 3×4 kernel


@pytest.mark.parametrize("penalty", ["l1", "l2", "weight_decay"])
def test_group_moves_as_under_its_own_learning_rate_penalties_included(penalty):
    factors = (("dense/", 0.1), ("bias", 3.0))  # the first one found decides
    found = trajectory(Adam(learning_rate=0.05, learning_rate_factors=factors, **{penalty: 0.1}))
    by_rate = {
        factor: trajectory(Adam(learning_rate=0.05 * factor, **{penalty: 0.1}))
        for factor in (0.1, 1.0, 3.0)
    }
    expected = {
        "dense": by_rate[0.1]["dense"],
        "norm": {"scale": by_rate[1.0]["norm"]["scale"], "bias": by_rate[3.0]["norm"]["bias"]},
    }
    assert_equal(found, expected)


def test_clipping_looks_at_what_is_trained_alone():
    params = jax.tree.map(jnp.asarray, parameters())
    gradient = jax.tree.map(jnp.ones_like, params)
    gradient["dense"]["kernel"] = gradient["dense"]["kernel"] * 1e6
    options = Sgd(learning_rate=1.0, clip_norm=100.0, freeze=("dense/kernel",))
    chain = make_chain(options, 1).transformation
    updates, _ = chain.update(gradient, chain.init(params), params)
    np.testing.assert_array_equal(updates["dense"]["bias"], -np.ones(4))


def test_pattern_that_is_found_nowhere_is_refused_with_the_nearest_path():
    assert refusal(freeze=("norm/", "dense/kernle")) == (
        "config.optimizer.freeze[1]: 'dense/kernle' is found in no parameter's path. Did you mean "
        "'dense/kernel'?\nParameters: dense/bias, dense/kernel, norm/bias, norm/scale"
    )
    assert refusal(learning_rate_factors=(("conv", 0.1),)).startswith(
        "config.optimizer.learning_rate_factors[0]: 'conv' is found in no parameter's path."
    )


def test_long_list_of_parameters_is_cut_short():
    with pytest.raises(UserError, match=r"block_19/kernel and 80 more$"):
        Adam(freeze=("stem",)).check_paths([f"block_{i}/kernel" for i in range(100)])


def test_freezing_everything_is_refused():
    assert refusal(freeze=("dense", "norm")) == (
        "config.optimizer.freeze: freezes every parameter; nothing is left to train"
    )


def test_patterns_that_are_found_are_accepted():
    factors = (("dense/.*", 0.1), ("bias$", 2.0))
    Adam(freeze=("^norm/scale$",), learning_rate_factors=factors).check_paths(PATHS)
