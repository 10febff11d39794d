"""The operations of policies.

Each maps an image, float32 [height, width, channels] in [0, 1], to another, by
an amount of which 0 is none. Amounts are those of AutoAugment (arXiv:1805.09501)
and of Pillow, but that geometry is about the centre, interpolates linearly, and
what comes in from outside is black.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import dm_pix
import jax
import jax.numpy as jnp

from research.augmentation.images import blend, cutout


class Operation(NamedTuple):
    """An operation and how far it may go.

    Attributes:
      function: amount -> [2, 3] for geometry, see `warp`; (image, amount) ->
        image for the others.
      most: the amount at a strength of 1.
      widest: the same in TrivialAugment's wide ranges.
    """

    function: Callable
    most: float
    widest: float


STILL = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def rotate(degrees: jax.Array) -> jax.Array:
    """Turns the image counter-clockwise."""
    c, s = jnp.cos(jnp.radians(degrees)), jnp.sin(jnp.radians(degrees))
    return jnp.array([[c, s, 0.0], [-s, c, 0.0]])


def shear_x(slope: jax.Array) -> jax.Array:
    """Moves rows by `slope` times their distance from the middle one."""
    return jnp.array(STILL).at[1, 0].set(slope)


def shear_y(slope: jax.Array) -> jax.Array:
    """Moves columns by `slope` times their distance from the middle one."""
    return jnp.array(STILL).at[0, 1].set(slope)


def translate_x(share: jax.Array) -> jax.Array:
    """Moves the image by a share of its width."""
    return jnp.array(STILL).at[1, 2].set(share)


def translate_y(share: jax.Array) -> jax.Array:
    """Moves the image by a share of its height."""
    return jnp.array(STILL).at[0, 2].set(share)


def auto_contrast(image: jax.Array, amount: jax.Array) -> jax.Array:
    """Stretches each channel from its darkest and brightest pixel to 0 and 1."""
    del amount
    low, high = image.min((0, 1)), image.max((0, 1))
    return jnp.where(high > low, (image - low) / jnp.where(high > low, high - low, 1), image)


def equalize(image: jax.Array, amount: jax.Array) -> jax.Array:
    """Gives each pixel the share of its channel's pixels that are darker than it.

    The brightest ones don't count, so that they become 1.
    """
    del amount

    def of_channel(levels):
        counts = jnp.zeros(256, jnp.int32).at[levels.ravel()].add(1)
        darker = jnp.cumsum(counts) - counts
        most = darker[levels.max()]
        return jnp.where(most > 0, darker[levels] / jnp.maximum(most, 1), levels / 255)

    levels = jnp.round(255 * image).astype(jnp.int32)
    return jax.vmap(of_channel, in_axes=-1, out_axes=-1)(levels)


def invert(image: jax.Array, amount: jax.Array) -> jax.Array:
    """The negative."""
    del amount
    return 1 - image


def solarize(image: jax.Array, amount: jax.Array) -> jax.Array:
    """Inverts the pixels that are brighter than 1 − amount."""
    return dm_pix.solarize(image, 1 - jnp.abs(amount))


def posterize(image: jax.Array, bits: jax.Array) -> jax.Array:
    """Takes the lowest bits from pixels of 8 bits."""
    step = 2 ** jnp.round(jnp.abs(bits))
    return jnp.floor(jnp.round(255 * image) / step) * step / 255


def contrast(image: jax.Array, amount: jax.Array) -> jax.Array:
    """Stretches distances from each channel's mean by 1 + amount."""
    return jnp.clip(dm_pix.adjust_contrast(image, 1 + amount), 0, 1)


def saturation(image: jax.Array, amount: jax.Array) -> jax.Array:
    """Stretches distances from the grey image by 1 + amount; grey images stay."""
    return blend(dm_pix.rgb_to_grayscale(image), image, 1 + amount) if _is_rgb(image) else image


def brightness(image: jax.Array, amount: jax.Array) -> jax.Array:
    """Multiplies pixels by 1 + amount."""
    return jnp.clip(image * (1 + amount), 0, 1)


def sharpness(image: jax.Array, amount: jax.Array) -> jax.Array:
    """Stretches distances from the smoothed image by 1 + amount; the border stays."""
    sums = jax.lax.reduce_window(image, 0.0, jax.lax.add, (3, 3, 1), (1, 1, 1), "VALID")
    smooth = image.at[1:-1, 1:-1].set((sums + 4 * image[1:-1, 1:-1]) / 13)
    return blend(smooth, image, 1 + amount)


def _is_rgb(image: jax.Array) -> bool:
    return image.shape[-1] == 3


def _still(amount):
    del amount
    return jnp.array(STILL)


def _unchanged(image, amount):
    del amount
    return image


GEOMETRY = {
    "rotate": Operation(rotate, 30, 135),
    "shear_x": Operation(shear_x, 0.3, 0.99),
    "shear_y": Operation(shear_y, 0.3, 0.99),
    "translate_x": Operation(translate_x, 0.45, 1),
    "translate_y": Operation(translate_y, 0.45, 1),
}
OTHERS = {
    "identity": Operation(_unchanged, 0, 0),
    "auto_contrast": Operation(auto_contrast, 1, 1),
    "equalize": Operation(equalize, 1, 1),
    "invert": Operation(invert, 1, 1),
    "solarize": Operation(solarize, 1, 1),
    "posterize": Operation(posterize, 4, 6),
    "contrast": Operation(contrast, 0.9, 0.99),
    "saturation": Operation(saturation, 0.9, 0.99),
    "brightness": Operation(brightness, 0.9, 0.99),
    "sharpness": Operation(sharpness, 0.9, 0.99),
    "cutout": Operation(_unchanged, 0.2, 0.2),
}


def operate(
    names: tuple[str, ...],
    index: jax.Array,
    strength: jax.Array,
    key: jax.Array,
    image: jax.Array,
    wide: bool = False,
) -> jax.Array:
    """Returns the image after one operation.

    Args:
      names: of the operations to choose from.
      index: which of them, int32 scalar.
      strength: how far, in [−1, 1], float32 scalar; 0 leaves the image as it is.
        Operations without a direction heed its size alone; some are all or none.
      key: PRNG key of the operations that need one.
      image: float32 [height, width, channels] in [0, 1].
      wide: whether the ranges are TrivialAugment's wide ones.
    """
    operations = [(GEOMETRY | OTHERS)[name] for name in names]
    amount = strength * jnp.array([float(o.widest if wide else o.most) for o in operations])[index]
    # A choice that differs between the examples of a batch computes all that could
    # be chosen: hence one warp for all of geometry.
    matrices = [GEOMETRY[name].function if name in GEOMETRY else _still for name in names]
    changed = warp(image, jax.lax.switch(index, matrices, amount))
    functions = {name: operation.function for name, operation in OTHERS.items()}
    functions["cutout"] = lambda image, amount: cutout(
        key, image, jnp.round(jnp.abs(amount) * max(image.shape[:2]))
    )
    changes = [functions.get(name, _unchanged) for name in names]
    changed = jax.lax.switch(index, changes, changed, amount)
    return jnp.where(strength == 0, image, changed)


def warp(image: jax.Array, source: jax.Array) -> jax.Array:
    """Returns the image moved, interpolated linearly, with black around it.

    Args:
      image: float32 [height, width, channels].
      source: [2, 3]: where in the image a pixel of the result comes from, as a
        linear function of its (y, x), counted from the centre, and an offset in
        shares of (height, width).
    """
    height, width, _ = image.shape
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    y, x = jnp.meshgrid(jnp.arange(height) - middle_y, jnp.arange(width) - middle_x, indexing="ij")
    # Not dm_pix.affine_transform: its product of matrices is of lower precision on
    # accelerators, and it interpolates between channels, too.
    (yy, yx, dy), (xy, xx, dx) = source
    places = [
        yy * y + yx * x + dy * height + middle_y,
        xy * y + xx * x + dx * width + middle_x,
    ]
    sample = functools.partial(
        jax.scipy.ndimage.map_coordinates, coordinates=places, order=1, mode="constant"
    )
    return jax.vmap(sample, in_axes=-1, out_axes=-1)(image)
