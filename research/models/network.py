"""From a model's options to a pair of pure functions."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from research.models.base import Model

Variables = dict[str, Any]
"""Flax collections: "params", and "batch_stats" where the model has BatchNorm."""


class Network(NamedTuple):
    """A model as pure functions of its variables."""

    module: nn.Module

    def init(self, key: jax.Array, x: jax.Array) -> Variables:
        """Returns freshly drawn variables, all float32.

        Args:
          key: PRNG key; equal keys give equal variables.
          x: float32 [batch, height, width, channels]; only its shape matters.
        """
        return self.module.init({"params": key}, x, train=False)

    def apply(
        self,
        variables: Variables,
        x: jax.Array,
        *,
        train: bool = False,
        dropout_key: jax.Array | None = None,
    ) -> Any:
        """Returns logits, float32 [batch, num_classes].

        Args:
          variables: what `init` returned, or training made of it.
          x: float32 [batch, height, width, channels], normalised.
          train: dropout on, BatchNorm by the batch's statistics; the result is
            then (logits, updated batch statistics).
          dropout_key: PRNG key of the dropout masks; needed while training.
        """
        if not train:
            return self.module.apply(variables, x, train=False)
        logits, updates = self.module.apply(
            variables, x, train=True, rngs={"dropout": dropout_key}, mutable=["batch_stats"]
        )
        return logits, updates.get("batch_stats", {})


def network(model: Model, num_classes: int) -> Network:
    """Builds the network of a model's options for K = `num_classes` classes."""
    return Network(_Classifier(model, num_classes))


class _Classifier(nn.Module):
    model: Model
    num_classes: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        logits = self.model.forward(x, num_classes=self.num_classes, train=train)
        # The loss is always computed in float32, whatever the layers use.
        return logits.astype(jnp.float32)
