"""Test-time augmentation: the views of an image over which predictions are averaged."""

import jax
import jax.numpy as jnp

from research.augmentation.options import TTA


def views(tta: str, images: jax.Array) -> jax.Array:
    """Returns the views of images [batch, height, width, channels], stacked in front.

    Args:
      tta: an entry of `TTA`. "none": the images; "flip": also mirrored, left to
        right; "flip_shift": both, also shifted by one pixel up, down, left and
        right, with black coming in.
      images: any dtype.
    """
    assert tta in TTA
    found = [images] if tta == "none" else [images, jnp.flip(images, axis=2)]
    if tta == "flip_shift":
        found += [_shifted(view, axis, by) for view in found for axis in (1, 2) for by in (-1, 1)]
    return jnp.stack(found)


def _shifted(images: jax.Array, axis: int, by: int) -> jax.Array:
    size = images.shape[axis]
    padding = [(1, 1) if index == axis else (0, 0) for index in range(images.ndim)]
    return jax.lax.slice_in_dim(jnp.pad(images, padding), 1 - by, 1 - by + size, axis=axis)
