"""Layers shared by the models; to be called inside a compact Flax module."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.ad_checkpoint import checkpoint_name

from research import batch_axis
from research.models.activations import ACTIVATIONS
from research.models.base import Layered, Model
from research.models.convolution import conv_general_dilated
from research.models.initializers import initializer
from research.models.pooling import avg_pool, max_pool
from research.records import is_on

KEPT = "product"
"""What is kept for the gradient where the rest is computed again, by this name."""


def dense(options, x: jax.Array, features: int, *, train: bool, name: str) -> jax.Array:
    """Dense layer, BatchNorm (if on), activation, dropout.

    Args:
      options: those of a `Layered` model, with `dropout_rate`.
      x: [batch, inputs].
      features: number of outputs.
      train: whether dropout is on and BatchNorm uses the batch's statistics.
      name: name of the layer's parameters.

    Returns:
      [batch, features] in `options.compute_dtype`.
    """
    # BatchNorm subtracts the mean, so that a bias before it would do nothing.
    x = nn.Dense(
        features,
        use_bias=not options.batch_norm,
        kernel_init=initializer(options.initializer, options.activation),
        dtype=jnp.dtype(options.compute_dtype),
        name=name,
    )(x)
    x = checkpoint_name(x, KEPT)
    x = activate(options, normalize(options, x, train=train, name=name), name=name)
    return dropout(x, options.dropout_rate, train=train)


def convolution(
    options: Layered,
    x: jax.Array,
    features: int,
    *,
    kernel_size: int,
    stride: int = 1,
    train: bool,
    name: str,
) -> jax.Array:
    """Zero-padded convolution, BatchNorm (if on); no activation yet.

    Args:
      options: of the model.
      x: [batch, height, width, channels].
      features: number of output channels.
      kernel_size: height and width of the kernel.
      stride: every how many pixels the kernel is applied.
      train: whether BatchNorm uses the batch's statistics.
      name: name of the layer's parameters.

    Returns:
      [batch, ⌈height / stride⌉, ⌈width / stride⌉, features] in
      `options.compute_dtype`.
    """
    # With a stride, "SAME" would pad an even image on one side alone.
    padding = ((kernel_size - 1) // 2, kernel_size // 2)
    x = nn.Conv(
        features,
        (kernel_size, kernel_size),
        strides=stride,
        padding=(padding, padding),
        use_bias=not options.batch_norm,
        kernel_init=initializer(options.initializer, options.activation),
        dtype=jnp.dtype(options.compute_dtype),
        conv_general_dilated=conv_general_dilated,
        name=name,
    )(x)
    return normalize(options, checkpoint_name(x, KEPT), train=train, name=name)


def normalize(options: Layered, x: jax.Array, *, train: bool, name: str) -> jax.Array:
    """BatchNorm of the layer called `name`, if it is on (arXiv:1502.03167)."""
    if not options.batch_norm:
        return x
    norm = nn.BatchNorm(
        momentum=0.9,
        dtype=jnp.dtype(options.compute_dtype),
        axis_name=batch_axis.name(),
        name=f"{name}_norm",
    )
    return norm(x, use_running_average=not train)


def activate(options: Layered, x: jax.Array, *, name: str) -> jax.Array:
    """The activation of the layer called `name`."""
    activation = ACTIVATIONS[options.activation]
    if activation.learned:
        return activation.function(x, name=f"{name}_{options.activation}")
    return activation.function(x)


def pool(options, x: jax.Array) -> jax.Array:
    """Pools windows of `options.pool_size`²; rows and columns left over are cut."""
    return (max_pool if options.pooling == "max" else avg_pool)(x, options.pool_size)


def dropout(x: jax.Array, rate: float, *, train: bool) -> jax.Array:
    """Zeroes each element with probability `rate` while training (Srivastava 2014)."""
    return Dropout(rate)(x) if is_on(rate) and train else x


def logits(options: Model, x: jax.Array, num_classes: int) -> jax.Array:
    """The linear layer of a classifier: [batch, inputs] -> [batch, num_classes]."""
    return nn.Dense(
        num_classes,
        kernel_init=initializer("auto", "identity"),
        dtype=jnp.dtype(options.compute_dtype),
        name="logits",
    )(x)


class Dropout(nn.Module):
    """Dropout whose mask is that of the global batch, whoever divides it."""

    rate: float

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        key = self.make_rng("dropout")
        keep = batch_axis.rows(
            lambda shape: jax.random.bernoulli(key, 1 - self.rate, shape), x.shape
        )
        return jnp.where(keep, x / (1 - self.rate), 0)
