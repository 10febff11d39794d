"""Layers shared by the models; to be called inside a compact Flax module."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.ad_checkpoint import checkpoint_name

from research import batch_axis
from research.models.activations import ACTIVATIONS
from research.models.base import Activated, Layered, Model
from research.models.convolution import conv_general_dilated
from research.models.initializers import initializer
from research.models.pooling import avg_pool, max_pool
from research.models.product import dot_general
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
        dot_general=dot_general,
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
    x = convolve(
        options,
        x,
        features,
        kernel_size=kernel_size,
        stride=stride,
        use_bias=not options.batch_norm,
        name=name,
    )
    return normalize(options, x, train=train, name=name)


def convolve(
    options: Activated,
    x: jax.Array,
    features: int,
    *,
    kernel_size: int,
    stride: int = 1,
    padded: bool = True,
    use_bias: bool,
    name: str,
) -> jax.Array:
    """The convolution alone; see `convolution`.

    Without padding the kernel stays within the image, which loses `kernel_size` − 1
    rows and columns.
    """
    # With a stride, "SAME" would pad an even image on one side alone.
    padding = ((kernel_size - 1) // 2, kernel_size // 2) if padded else (0, 0)
    x = nn.Conv(
        features,
        (kernel_size, kernel_size),
        strides=stride,
        padding=(padding, padding),
        use_bias=use_bias,
        kernel_init=initializer(options.initializer, options.activation),
        dtype=jnp.dtype(options.compute_dtype),
        conv_general_dilated=conv_general_dilated,
        name=name,
    )(x)
    return checkpoint_name(x, KEPT)


def normalize(options: Layered, x: jax.Array, *, train: bool, name: str) -> jax.Array:
    """BatchNorm of the layer called `name`, if it is on (arXiv:1502.03167)."""
    return batch_norm(options, x, train=train, name=name) if options.batch_norm else x


def batch_norm(
    options: Model,
    x: jax.Array,
    *,
    momentum: float = 0.9,
    use_scale: bool = True,
    train: bool,
    name: str,
) -> jax.Array:
    """BatchNorm of the layer called `name`.

    Args:
      options: of the model.
      x: [batch, …, features].
      momentum: share of the running statistics that a step keeps.
      use_scale: whether the output is multiplied by learned factors.
      train: whether the batch's statistics are used, rather than the running ones.
      name: name of the layer.
    """
    norm = nn.BatchNorm(
        momentum=momentum,
        use_scale=use_scale,
        dtype=jnp.dtype(options.compute_dtype),
        axis_name=batch_axis.name(),
        name=f"{name}_norm",
    )
    return norm(x, use_running_average=not train)


def activate(options: Activated, x: jax.Array, *, name: str) -> jax.Array:
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


def logits(options: Model, x: jax.Array, num_classes: int, *, use_bias: bool = True) -> jax.Array:
    """The linear layer of a classifier: [batch, inputs] -> [batch, num_classes]."""
    return nn.Dense(
        num_classes,
        use_bias=use_bias,
        kernel_init=initializer("auto", "identity"),
        dtype=jnp.dtype(options.compute_dtype),
        dot_general=dot_general,
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
