"""What training minimises, and what is measured beside it.

Penalties on the parameters are the optimizer's (`research.optimizers.chain`);
reported losses are the data's alone, so that runs with and without a penalty
can be compared.
"""

import jax
import jax.numpy as jnp
import optax


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Softmax cross-entropy −log softmax(logits)[label] of each example, in nats.

    Args:
      logits: float32 [batch, classes].
      labels: int32 [batch], in [0, classes).

    Returns:
      float32 [batch].
    """
    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)


def correct(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Whether the largest logit is the label's, bool [batch]."""
    return jnp.argmax(logits, axis=-1) == labels
