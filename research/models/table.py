"""The table of a model's layers: shapes, parameters, bytes and FLOPs."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from research.models.base import Model
from research.models.network import visit_layers

COLUMNS = ("layer", "kind", "output", "parameters", "bytes", "FLOPs forward", "FLOPs backward")


@dataclasses.dataclass(frozen=True)
class Layer:
    """What one layer does to one input.

    Attributes:
      name: its path in the parameters.
      kind: the Flax module's class.
      output: shape without the batch dimension.
      parameters: number of trained parameters.
      bytes: bytes of its parameters and running statistics.
      forward_flops: floating-point operations of its output at evaluation, as
        XLA counts them.
      backward_flops: those of the gradients by its parameters and its input.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    bytes: int
    forward_flops: int
    backward_flops: int


def layers_of(model: Model, num_classes: int, input_shape: tuple[int, ...]) -> list[Layer]:
    """Returns the layers of a model in the order in which they are called.

    Args:
      model: its options.
      num_classes: the number of logits.
      input_shape: that of one input.
    """
    found: list[Layer] = []
    visit_layers(model, num_classes, input_shape, lambda *call: found.append(_measure(*call)))
    return found


def table_of_layers(model: Model, num_classes: int, input_shape: tuple[int, ...]) -> str:
    """Returns the layers of a model on one input as a text table with totals."""
    layers = layers_of(model, num_classes, input_shape)
    rows = [
        (
            layer.name,
            layer.kind,
            "×".join(map(str, layer.output)),
            *_counts(layer.parameters, layer.bytes, layer.forward_flops, layer.backward_flops),
        )
        for layer in layers
    ]
    totals = (
        sum(getattr(layer, name) for layer in layers)
        for name in ("parameters", "bytes", "forward_flops", "backward_flops")
    )
    rows = [
        COLUMNS,
        ("input", "", "×".join(map(str, input_shape)), "", "", "", ""),
        *rows,
        ("total", "", "", *_counts(*totals)),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = [
        "  ".join(
            f"{cell:<{width}}" if column < 3 else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    rule = "─" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _counts(*values: int) -> tuple[str, ...]:
    return tuple(f"{value:,}" for value in values)


def _measure(module: nn.Module, args: tuple, kwargs: dict[str, Any], output: jax.Array) -> Layer:
    unbound, variables = module.unbind()
    variables, args = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), (dict(variables), args)
    )

    params = variables.pop("params", {})
    statistics = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), variables)

    def forward(params, *inputs):
        return unbound.apply({**statistics, "params": params}, *inputs, **kwargs)

    def backward(params, *inputs):
        result, pull_back = jax.vjp(forward, params, *inputs)
        return pull_back(jnp.ones_like(result))

    return Layer(
        name=".".join(module.path),
        kind=type(module).__name__,
        output=output.shape[1:],
        parameters=sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)),
        bytes=sum(
            math.prod(leaf.shape) * leaf.dtype.itemsize
            for leaf in jax.tree.leaves((params, statistics))
        ),
        forward_flops=_flops(forward, params, *args),
        backward_flops=_flops(backward, params, *args),
    )


def _flops(function, *shapes) -> int:
    cost = jax.jit(function).lower(*shapes).cost_analysis() or {}
    return int(cost.get("flops", 0))
