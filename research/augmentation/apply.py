"""Applying the chosen augmentations to a training batch."""

import functools
import zlib
from collections.abc import Callable

import jax
import jax.numpy as jnp

from research import batch_axis
from research.augmentation import images as of_images
from research.augmentation import mixing
from research.augmentation.options import Augmentation


def augment(
    options: Augmentation,
    key: jax.Array,
    batch: dict[str, jax.Array],
    num_classes: int,
    white: int = 255,
) -> dict[str, jax.Array]:
    """Returns an augmented batch; the batch itself where nothing is chosen.

    What an example draws depends on the key and on its place in the global
    batch alone, and of the other augmentations on none.

    Args:
      options: what is done.
      key: of the training step.
      batch: "input" uint8 [batch, height, width, channels], "label" int32 [batch].
      num_classes: how many classes the labels tell apart.
      white: the largest value that a pixel can have.

    Returns:
      "input" float32 in [0, white]; "label" as it was or, after mixing, the shares
      of the classes, float32 [batch, num_classes], which sum to 1.
    """
    chosen = options.chosen()
    if not chosen:
        return batch
    positions = batch_axis.positions(len(batch["label"]))

    def each(name: str, function: Callable, *arrays: jax.Array):
        """Applies a function to each example, with a key of its own."""
        of_name = jax.random.fold_in(key, zlib.crc32(name.encode()))
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(of_name, positions)
        with jax.named_scope(name):
            return jax.vmap(function)(keys, *arrays)

    image, label = batch["input"].astype(jnp.float32) / white, batch["label"]
    for name in chosen:
        if name not in options.mixing():
            image = each(name, _of_image(options, name), image)
    mixed_by = [_of_pair(options, name) for name in options.mixing()]
    if mixed_by:
        other = batch_axis.successors(image)
        image, share = each("mixing", functools.partial(_one_of, mixed_by), image, other)
        target = jax.nn.one_hot(label, num_classes)
        share = share[:, None]
        label = share * target + (1 - share) * batch_axis.successors(target)
    return {**batch, "input": white * image, "label": label}


def _of_image(options: Augmentation, name: str) -> Callable:
    """Returns the augmentation (key, image) -> image."""
    if name == "policy":
        return options.policy.apply
    function, strength = getattr(of_images, name), getattr(options, name)
    return lambda key, image: function(key, image, strength)


def _of_pair(options: Augmentation, name: str) -> Callable:
    """Returns the augmentation (key, image, other) -> (image, share)."""
    return functools.partial(getattr(mixing, name), alpha=getattr(options, name))


def _one_of(functions: list[Callable], key: jax.Array, image: jax.Array, other: jax.Array):
    """Mixes by one of the functions, drawn with equal chances."""
    for_choice, for_mixing = jax.random.split(key)
    which = jax.random.randint(for_choice, (), 0, len(functions))
    return jax.lax.switch(which, functions, for_mixing, image, other)
