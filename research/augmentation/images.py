"""Augmentations of single images.

Each takes a key, an image, float32 [height, width, channels] in [0, 1], and the
strength that `options.Augmentation` gives it, and returns an image of the same
shape and range. What dm-pix has is taken from there.
"""

import dm_pix
import jax
import jax.numpy as jnp


def crop(key: jax.Array, image: jax.Array, padding: int) -> jax.Array:
    """Pads with black, then cuts out a window of the image's size (arXiv:1512.03385)."""
    padded = jnp.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    return dm_pix.random_crop(key, padded, image.shape)


def flip(key: jax.Array, image: jax.Array, on: bool) -> jax.Array:
    """Mirrors half of the images, left to right."""
    return dm_pix.random_flip_left_right(key, image, probability=0.5 * on)


def brightness(key: jax.Array, image: jax.Array, most: float) -> jax.Array:
    """Multiplies pixels by a factor from [1 − most, 1 + most]."""
    return jnp.clip(image * _factor(key, most), 0, 1)


def contrast(key: jax.Array, image: jax.Array, most: float) -> jax.Array:
    """Multiplies distances from each channel's mean by a factor from [1 − most, 1 + most]."""
    return jnp.clip(dm_pix.adjust_contrast(image, _factor(key, most)), 0, 1)


def saturation(key: jax.Array, image: jax.Array, most: float) -> jax.Array:
    """Multiplies distances from the grey image by a factor from [1 − most, 1 + most]."""
    return blend(dm_pix.rgb_to_grayscale(image), image, _factor(key, most))


def hue(key: jax.Array, image: jax.Array, most: float) -> jax.Array:
    """Turns hues by an angle from [−most, most], 1 being the whole circle."""
    return jnp.clip(dm_pix.random_hue(key, image, most), 0, 1)


def cutout(key: jax.Array, image: jax.Array, side: float | jax.Array) -> jax.Array:
    """Blackens a square whose centre lies anywhere in the image (arXiv:1708.04552)."""
    return jnp.where(rectangle(key, image.shape, side, side), 0, image)


def rectangle(
    key: jax.Array,
    shape: tuple[int, int, int],
    height: float | jax.Array,
    width: float | jax.Array,
) -> jax.Array:
    """Returns the mask of a rectangle, bool [height, width, 1] of `shape`.

    Its centre is drawn uniformly over the image, whose border cuts it off.
    """
    y, x = jax.random.uniform(key, (2,)) * jnp.array(shape[:2])
    rows = jnp.abs(jnp.arange(shape[0]) + 0.5 - y) < height / 2
    columns = jnp.abs(jnp.arange(shape[1]) + 0.5 - x) < width / 2
    return (rows[:, None] & columns[None, :])[..., None]


def blend(zero: jax.Array, one: jax.Array, factor: float | jax.Array) -> jax.Array:
    """Returns zero + factor·(one − zero), cut off at 0 and 1; factors may exceed 1."""
    return jnp.clip(zero + factor * (one - zero), 0, 1)


def _factor(key, most):
    return jax.random.uniform(key, (), minval=1 - most, maxval=1 + most)
