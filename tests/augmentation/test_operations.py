"""The operations of policies, against Pillow's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from research.augmentation import operations
from research.augmentation.operations import operate
from research.augmentation.policies import COMMON, OPERATIONS

PIXELS = np.random.default_rng(0).normal(110, 40, (40, 48, 3)).clip(3, 240).astype(np.uint8)
# Smooth, as interpolation is to be compared.
SMOOTH = np.asarray(Image.fromarray(PIXELS[:5, :6]).resize((48, 40), Image.Resampling.BICUBIC))
KEY = jax.random.key(0)

operation = jax.jit(lambda index, strength, x: operate(OPERATIONS, index, strength, KEY, x))


def done(name, strength, pixels=PIXELS):
    """An operation on an image of 8 bits, back in 8 bits."""
    image = jnp.asarray(pixels, jnp.float32) / 255
    found = operation(OPERATIONS.index(name), strength, image)
    assert found.shape == image.shape and found.min() >= 0 and found.max() <= 1
    return 255 * np.asarray(found)


def enhanced(kind):
    return lambda image, s: getattr(ImageEnhance, kind)(image).enhance(1 + 0.9 * s)


def affine(y_of_x=0.0, x_of_y=0.0, shift=(0, 0)):
    """Pillow's transformation about the centre: where pixels come from."""
    x, y = 48 / 2, 40 / 2
    return lambda image, s: image.transform(
        image.size,
        Image.Transform.AFFINE,
        (1, s * x_of_y, s * (shift[0] - x_of_y * y), s * y_of_x, 1, s * (shift[1] - y_of_x * x)),
        Image.Resampling.BILINEAR,
    )


PILLOW = {
    "auto_contrast": lambda image, s: ImageOps.autocontrast(image),
    "invert": lambda image, s: ImageOps.invert(image),
    "solarize": lambda image, s: ImageOps.solarize(image, 255 * (1 - s)),
    "posterize": lambda image, s: ImageOps.posterize(image, 8 - round(4 * s)),
    "saturation": enhanced("Color"),
    "brightness": enhanced("Brightness"),
    "sharpness": enhanced("Sharpness"),
    "rotate": lambda image, s: image.rotate(30 * s, Image.Resampling.BILINEAR),
    "shear_x": affine(x_of_y=0.3),
    "shear_y": affine(y_of_x=0.3),
    "translate_x": affine(shift=(0.45 * 48, 0)),
    "translate_y": affine(shift=(0, 0.45 * 40)),
}


@pytest.mark.parametrize("name", PILLOW)
def test_operations_are_those_of_pillow(name):
    pixels = SMOOTH if name in operations.GEOMETRY else PIXELS
    for strength in (0.3, 1.0):
        expected = np.asarray(PILLOW[name](Image.fromarray(pixels), strength), np.float32)
        off = np.abs(done(name, strength, pixels) - expected)
        # Pillow rounds, and blackens what comes from half a pixel outside.
        assert (off.max(axis=-1) > 2).mean() < (0.06 if name in operations.GEOMETRY else 1e-9)


def test_equalized_pixels_are_spread_evenly_and_in_the_same_order():
    found = done("equalize", 1)
    for channel in range(3):
        before, after = PIXELS[..., channel].ravel(), found[..., channel].ravel()
        darker = (before[:, None] > before[None]).sum(axis=1)
        np.testing.assert_allclose(after, 255 * darker / darker.max(), atol=1e-3)
    # Pillow rounds to whole numbers of pixels, which matters less where there are many.
    tiled = ImageOps.equalize(Image.fromarray(np.tile(PIXELS, (8, 8, 1))))
    assert np.abs(found - np.asarray(tiled, np.float32)[:40, :48]).max() < 3


def test_contrast_stretches_distances_from_the_mean():
    mean = PIXELS.mean(axis=(0, 1))
    np.testing.assert_allclose(done("contrast", -1), mean + 0.1 * (PIXELS - mean), atol=1e-2)


def test_names_are_those_of_the_table():
    assert set(OPERATIONS) == set(operations.GEOMETRY | operations.OTHERS)
    assert len(COMMON) == 14


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (3, 3, 1)], ids=str)
def test_magnitude_0_is_the_identity_for_every_operation(shape):
    image = jax.random.uniform(KEY, shape)
    apply = jax.jit(jax.vmap(operation, in_axes=(0, None, None)))
    for found in apply(jnp.arange(len(OPERATIONS)), 0.0, image):
        np.testing.assert_array_equal(found, image)


def test_operations_with_a_magnitude_begin_at_the_identity():
    whole = ("auto_contrast", "equalize", "invert")
    for name in set(OPERATIONS) - {*whole}:
        np.testing.assert_allclose(done(name, 1e-5, SMOOTH), SMOOTH, atol=0.2, err_msg=name)


def test_operations_without_variation_in_a_channel_give_numbers():
    black = np.zeros((8, 8, 1), np.uint8)
    for name in ("auto_contrast", "equalize", "contrast", "sharpness", "saturation"):
        np.testing.assert_array_equal(done(name, 1, black), black)


def test_saturation_leaves_grey_images_alone():
    np.testing.assert_array_equal(done("saturation", 1, PIXELS[..., :1]).round(), PIXELS[..., :1])


def test_geometry_moves_a_mask_with_its_image():
    both = np.concatenate([SMOOTH, SMOOTH[..., :1]], axis=-1)
    for name in operations.GEOMETRY:
        found = done(name, 0.7, both)
        np.testing.assert_array_equal(found[..., 3], found[..., 0])
