"""Gradients layer by layer: where they vanish, and where they explode."""

from typing import Any

import jax
import optax

PREFIX = "gradient_norm/"
"""What stands before a layer's name in a line of metrics."""


def norm_of_each_layer(gradient: Any) -> dict[str, jax.Array]:
    """Returns the L2 norm of the gradient of each layer, float32 scalars; traceable.

    The square of the whole gradient's norm is the sum of their squares. Under
    sigmoids, whose slope is at most 1/4, it shrinks from the output towards the
    input, layer by layer (Hochreiter 1991; Bengio, Simard & Frasconi 1994).

    Args:
      gradient: that of the loss by the parameters, {layer: {name: array}}.

    Returns:
      "gradient_norm/LAYER" -> norm.
    """
    return {f"{PREFIX}{layer}": optax.tree.norm(leaves) for layer, leaves in gradient.items()}
