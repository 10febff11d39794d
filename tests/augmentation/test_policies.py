"""Policies: what they draw, and that what was drawn is what happens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from research.augmentation import policies
from research.augmentation.operations import operate
from research.augmentation.policies import COMMON, FastAutoAugment, RandAugment, TrivialAugment
from research.errors import UserError
from research.records import check

KEYS = jax.random.split(jax.random.key(0), 7000)
IMAGE = jax.random.uniform(jax.random.key(1), (8, 8, 3))


def draws(policy):
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(policy.draw))(KEYS))


def uniform(values):
    counts = np.unique(values, return_counts=True)[1]
    return chisquare(counts).pvalue > 0.01


def test_rand_augment_draws_operations_uniformly_in_each_layer():
    operation, strength = draws(RandAugment(layers=2, magnitude=0.4))
    for layer in range(2):
        assert set(operation[:, layer]) == set(range(14))
        assert uniform(operation[:, layer])
    np.testing.assert_allclose(np.abs(strength), 0.4)
    assert uniform(np.sign(strength))
    assert uniform(14 * operation[:, 0] + operation[:, 1])


def test_trivial_augment_draws_operation_and_magnitude_uniformly():
    operation, strength = draws(TrivialAugment())
    magnitude = np.round(30 * np.abs(strength)).astype(int)
    assert set(operation) == set(range(14)) and set(magnitude) == set(range(31))
    assert uniform(operation) and uniform(magnitude)


def test_what_is_drawn_is_what_is_done():
    policy = TrivialAugment()

    def both(key):
        for_draw, for_operation = jax.random.split(key)
        expected = operate(COMMON, *policy.draw(for_draw), for_operation, IMAGE, wide=True)
        return policy.apply(key, IMAGE), expected

    found, expected = jax.jit(jax.vmap(both))(KEYS[:50])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert len(np.unique(np.asarray(found).reshape(50, -1), axis=0)) > 30


@pytest.mark.parametrize(
    "policy",
    [
        RandAugment(layers=1, magnitude=0.0),
        FastAutoAugment(sub_policies=("rotate 1 0; invert 1 0", "solarize 0 1; cutout 0 1")),
    ],
    ids=lambda policy: policy.name,
)
def test_without_magnitude_or_probability_images_stay(policy):
    for found in jax.jit(jax.vmap(lambda key: policy.apply(key, IMAGE)))(KEYS[:20]):
        np.testing.assert_array_equal(found, IMAGE)


def test_sub_policies_are_drawn_uniformly_and_their_operations_by_probability():
    policy = FastAutoAugment(sub_policies=("invert 0.3 1", "posterize 0 1; brightness 1 -1"))
    found = np.asarray(jax.jit(jax.vmap(lambda key: policy.apply(key, IMAGE)))(KEYS))
    kinds = {"inverted": 1 - IMAGE, "dark": 0.1 * IMAGE, "as it was": IMAGE}
    shares = {k: np.isclose(found, v, atol=1e-5).all((1, 2, 3)).mean() for k, v in kinds.items()}
    for kind, share in {"inverted": 0.15, "dark": 0.5, "as it was": 0.35}.items():
        assert shares[kind] == pytest.approx(share, abs=0.03)


def test_sub_policies_are_read_in_their_order():
    parts = FastAutoAugment(sub_policies=("rotate 0.5 0.3; saturation 0.6 -0.3", "invert 1 1"))
    assert parts.parts() == [
        [policies.Part("rotate", 0.5, 0.3), policies.Part("saturation", 0.6, -0.3)],
        [policies.Part("invert", 1.0, 1.0)],
    ]


def test_a_policy_that_a_search_would_find_has_to_be_given():
    with pytest.raises(UserError, match="needs at least one, as a search found them, such as"):
        check(FastAutoAugment(), "config.augmentation.policy")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rotat 0.5 1", "Did you mean 'rotate'"),
        ("rotate 0.5", "takes 'OPERATION PROBABILITY STRENGTH', not 'rotate 0.5'"),
        ("rotate 0.5 1;", "unknown name ''"),
        ("rotate 0.5 x", "takes 'OPERATION PROBABILITY STRENGTH'"),
        ("rotate 1.5 1", r"must lie in \[0, 1\]"),
        ("rotate 1 -2", r"strengths lie in \[-1, 1\]"),
    ],
)
def test_sub_policies_that_cannot_be_read_are_refused(text, message):
    with pytest.raises(UserError, match=message) as caught:
        check(FastAutoAugment(sub_policies=("rotate 1 1", text)), "config.augmentation.policy")
    assert str(caught.value).startswith("config.augmentation.policy.sub_policies[1]: ")


@pytest.mark.parametrize(
    "policy",
    [RandAugment(layers=0), RandAugment(magnitude=1.1), FastAutoAugment(sub_policies=())],
)
def test_options_out_of_range_are_refused(policy):
    with pytest.raises(UserError):
        check(policy)


def test_policies_take_grey_images():
    grey = jnp.full((28, 28, 1), 0.5).at[8:20, 8:20].set(0.9)
    found = jax.jit(jax.vmap(lambda key: TrivialAugment().apply(key, grey)))(KEYS[:30])
    assert found.shape == (30, 28, 28, 1) and np.isfinite(found).all()
