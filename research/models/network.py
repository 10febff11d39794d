"""From a model's options to a pair of pure functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from research.models.base import Model
from research.paths import path_name

Variables = dict[str, Any]
"""Flax collections: "params", and "batch_stats" where the model has BatchNorm."""


class Network(NamedTuple):
    """A model as pure functions of its variables.

    Attributes:
      module: the Flax module.
      frozen: path of a parameter, such as "dense_0/kernel" -> whether training
        leaves it alone.
    """

    module: nn.Module
    frozen: Callable[[str], bool]

    def init(self, key: jax.Array, x: jax.Array) -> Variables:
        """Returns freshly drawn variables, all float32.

        Args:
          key: PRNG key; equal keys give equal variables.
          x: float32 [batch, *input_shape]; only its shape matters.
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

        Frozen parameters have no gradient, and a BatchNorm whose scale is frozen
        works as at evaluation: its running statistics are used, and stay.

        Args:
          variables: what `init` returned, or training made of it.
          x: float32 [batch, *input_shape], normalised.
          train: dropout on, BatchNorm by the batch's statistics; the result is
            then (logits, updated batch statistics).
          dropout_key: PRNG key of the dropout masks; needed while training.
        """
        if not train:
            return self.module.apply(variables, x, train=False)
        variables = {**variables, "params": self._held(variables["params"])}
        with _evaluating(lambda path: self.frozen(f"{path}/scale")):
            logits, updates = self._train(variables, x, dropout_key)
        return logits, updates.get("batch_stats", {})

    def sample(self, variables: Variables, x: jax.Array, dropout_key: jax.Array) -> jax.Array:
        """Returns logits with dropout on and BatchNorm as at evaluation.

        Over many keys they are draws from the approximate posterior predictive
        distribution of Monte Carlo dropout (arXiv:1506.02142).
        """
        with _evaluating(lambda path: True):
            logits, _ = self._train(variables, x, dropout_key)
        return logits

    def _train(self, variables, x, dropout_key):
        return self.module.apply(
            variables, x, train=True, rngs={"dropout": dropout_key}, mutable=["batch_stats"]
        )

    def _held(self, params):
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: (
                jax.lax.stop_gradient(leaf) if self.frozen(path_name(path)) else leaf
            ),
            params,
        )


def network(
    model: Model, num_classes: int, frozen: Callable[[str], bool] = lambda path: False
) -> Network:
    """Builds the network of a model's options for K = `num_classes` classes.

    Args:
      model: the options.
      num_classes: the number of logits.
      frozen: path of a parameter -> whether training leaves it alone.
    """
    return Network(_Classifier(model, num_classes), frozen)


def _evaluating(chosen: Callable[[str], bool]):
    """Makes the BatchNorms whose paths are chosen work as at evaluation, within."""

    def intercept(call, args, kwargs, context):
        module = context.module
        if isinstance(module, nn.BatchNorm) and chosen("/".join(module.path)):
            kwargs = {**kwargs, "use_running_average": True}
        return call(*args, **kwargs)

    return nn.intercept_methods(intercept)


class _Classifier(nn.Module):
    model: Model
    num_classes: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        logits = self.model.forward(x, num_classes=self.num_classes, train=train)
        # The loss is always computed in float32, whatever the layers use.
        return logits.astype(jnp.float32)
