"""Augmentations of single images and of pairs: what they leave alone, and what they count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.augmentation import images, mixing

KEYS = jax.random.split(jax.random.key(0), 200)
IMAGE = jax.random.uniform(jax.random.key(1), (12, 9, 3), minval=0.1, maxval=0.9)
STRENGTHS = {
    "crop": 3,
    "flip": True,
    "brightness": 0.5,
    "contrast": 0.5,
    "saturation": 0.5,
    "hue": 0.5,
    "cutout": 4,
}
NONE = dict.fromkeys(STRENGTHS, 0)


def drawn(name, strength, image=IMAGE):
    """What a function makes of an image under 200 keys."""
    function = getattr(images, name)
    return np.asarray(jax.jit(jax.vmap(lambda key: function(key, image, strength)))(KEYS))


@pytest.mark.parametrize("name", STRENGTHS)
def test_strength_0_is_the_identity(name):
    for found in drawn(name, NONE[name])[:5]:
        np.testing.assert_allclose(found, IMAGE, atol=1e-6)


@pytest.mark.parametrize("name", STRENGTHS)
def test_images_change_from_key_to_key_and_stay_between_black_and_white(name):
    found = drawn(name, STRENGTHS[name])
    assert found.shape == (200, *IMAGE.shape)
    assert found.min() >= 0 and found.max() <= 1
    assert len(np.unique(found.reshape(200, -1), axis=0)) >= (2 if name == "flip" else 20)


@pytest.mark.parametrize("name", ["crop", "flip", "cutout"])
def test_a_mask_follows_its_image(name):
    masked = jnp.concatenate([IMAGE, IMAGE[..., :1] > 0.5], axis=-1)
    found = drawn(name, STRENGTHS[name], masked)
    np.testing.assert_array_equal(found[..., 3], found[..., 0] > 0.5)


def test_mirroring_twice_is_the_identity():
    found = drawn("flip", True)
    mirrored = np.array([not np.array_equal(image, IMAGE) for image in found])
    assert 70 < mirrored.sum() < 130
    for image in found[mirrored]:
        np.testing.assert_array_equal(image[:, ::-1], IMAGE)


def test_crop_reaches_every_shift_up_to_the_padding():
    padded = np.pad(IMAGE, ((1, 1), (1, 1), (0, 0)))
    windows = [padded[y : y + 12, x : x + 9] for y in range(3) for x in range(3)]
    found = {
        next(i for i, w in enumerate(windows) if np.array_equal(w, image))
        for image in drawn("crop", 1)
    }
    assert found == set(range(9))


def test_cutout_blackens_a_square_that_the_border_may_cut_off():
    black = (drawn("cutout", 4) == 0).all(axis=-1)
    heights, widths = black.any(axis=2).sum(axis=1), black.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(black.sum(axis=(1, 2)), heights * widths)
    assert set(heights) == set(widths) == {2, 3, 4}


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_cutmix_counts_the_pasted_pixels_exactly(alpha):
    mix = jax.vmap(lambda key: mixing.cutmix(key, IMAGE, 2 + IMAGE, alpha))
    mixed, shares = jax.tree.map(np.asarray, mix(KEYS))
    pasted = (mixed > 1).all(axis=-1)
    np.testing.assert_array_equal(mixed, np.where(pasted[..., None], 2 + IMAGE, IMAGE))
    np.testing.assert_allclose(shares, 1 - pasted.mean(axis=(1, 2)), rtol=0, atol=1e-7)
    assert shares.min() < 0.3 and shares.max() > 0.9


def test_mixup_averages_with_shares_of_the_beta_distribution():
    mix = jax.vmap(lambda key: mixing.mixup(key, IMAGE, 1 - IMAGE, 0.4))
    mixed, shares = jax.tree.map(np.asarray, mix(KEYS))
    weights = shares[:, None, None, None]
    np.testing.assert_allclose(mixed, weights * IMAGE + (1 - weights) * (1 - IMAGE), atol=1e-6)
    assert shares.mean() == pytest.approx(0.5, abs=0.08)
    assert shares.var() == pytest.approx(0.25 / (2 * 0.4 + 1), rel=0.15)
