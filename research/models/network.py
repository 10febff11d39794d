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


def visit_layers(
    model: Model,
    num_classes: int,
    input_shape: tuple[int, ...],
    note: Callable[[nn.Module, tuple, dict[str, Any], Any], None],
) -> Variables:
    """Calls note(module, args, kwargs, output) for every layer, in their order.

    Nothing is computed: arrays are traced.

    Args:
      model: the options.
      num_classes: the number of logits.
      input_shape: that of one input.
      note: hears of each layer after it was called.

    Returns:
      The shapes of the variables.
    """
    module = network(model, num_classes).module
    x = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)

    def intercept(call, args, kwargs, context):
        output = call(*args, **kwargs)
        if context.method_name == "__call__" and context.module.name is not None:
            note(context.module, args, kwargs, output)
        return output

    def init(x):
        with nn.intercept_methods(intercept):
            return module.init({"params": jax.random.key(0)}, x, train=False)

    return jax.eval_shape(init, x)


def layer_names(model: Model, num_classes: int, input_shape: tuple[int, ...]) -> tuple[str, ...]:
    """Returns the layers that have parameters, in the order in which they are called.

    They are the first parts of the parameters' paths, such as "conv_0_0".
    """
    called: list[str] = []
    variables = visit_layers(
        model, num_classes, input_shape, lambda module, *_: called.append(module.path[0])
    )
    return tuple(name for name in dict.fromkeys(called) if name in variables["params"])


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
