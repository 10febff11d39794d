"""Layers shared by the models; to be called inside a compact Flax module."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from research import batch_axis
from research.models.activations import activation, initializer


def dense(options, x: jax.Array, features: int, *, train: bool, name: str) -> jax.Array:
    """Dense layer, BatchNorm (if on), activation, dropout.

    Args:
      options: a model's options with `activation`, `initializer`, `batch_norm`,
        `dropout_rate` and `compute_dtype`.
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
    x = _normalize_and_activate(options, x, train=train, name=name)
    return dropout(x, options.dropout_rate, train=train)


def convolution(options, x: jax.Array, features: int, *, train: bool, name: str) -> jax.Array:
    """Zero-padded convolution, BatchNorm (if on), activation.

    Args:
      options: as for `dense`, and `kernel_size`.
      x: [batch, height, width, channels].
      features: number of output channels.
      train: whether BatchNorm uses the batch's statistics.
      name: name of the layer's parameters.

    Returns:
      [batch, height, width, features] in `options.compute_dtype`.
    """
    x = nn.Conv(
        features,
        (options.kernel_size, options.kernel_size),
        padding="SAME",
        use_bias=not options.batch_norm,
        kernel_init=initializer(options.initializer, options.activation),
        dtype=jnp.dtype(options.compute_dtype),
        name=name,
    )(x)
    return _normalize_and_activate(options, x, train=train, name=name)


def pool(options, x: jax.Array) -> jax.Array:
    """Pools windows of `options.pool_size`²; rows and columns left over are cut."""
    reduce = nn.max_pool if options.pooling == "max" else nn.avg_pool
    window = (options.pool_size, options.pool_size)
    return reduce(x, window_shape=window, strides=window, padding="VALID")


def dropout(x: jax.Array, rate: float, *, train: bool) -> jax.Array:
    """Zeroes each element with probability `rate` while training (Srivastava 2014)."""
    return Dropout(rate)(x) if rate and train else x


def logits(options, x: jax.Array, num_classes: int) -> jax.Array:
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


def _normalize_and_activate(options, x, *, train, name):
    if options.batch_norm:
        x = nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            dtype=jnp.dtype(options.compute_dtype),
            axis_name=batch_axis.name(),
            name=f"{name}_norm",
        )(x)
    return activation(options.activation)(x)
