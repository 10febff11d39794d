"""Augmentations that put two examples together.

Each takes a key, two images of one shape and α, and returns an image and the
share of the first in it, by which labels are to be weighted.
"""

import jax
import jax.numpy as jnp

from research.augmentation.images import rectangle


def mixup(
    key: jax.Array, image: jax.Array, other: jax.Array, alpha: float
) -> tuple[jax.Array, jax.Array]:
    """λ·image + (1−λ)·other, λ ~ Beta(α, α) (arXiv:1710.09412)."""
    share = jax.random.beta(key, alpha, alpha)
    return share * image + (1 - share) * other, share


def cutmix(
    key: jax.Array, image: jax.Array, other: jax.Array, alpha: float
) -> tuple[jax.Array, jax.Array]:
    """Pastes a rectangle of the other in its place (arXiv:1905.04899).

    Its sides are √(1−λ) of the image's, λ ~ Beta(α, α). Where the border cuts it
    off λ would be wrong: the share is what remains of the image, counted.
    """
    for_share, for_place = jax.random.split(key)
    scale = jnp.sqrt(1 - jax.random.beta(for_share, alpha, alpha))
    height, width, _ = image.shape
    pasted = rectangle(for_place, image.shape, scale * height, scale * width)
    return jnp.where(pasted, other, image), 1 - pasted.mean()
