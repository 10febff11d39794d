"""Floating-point operations that a model asks for, whatever a compiler makes of it."""

import math
from collections.abc import Iterator
from typing import Any

from jax.extend import core


def matmul_flops(jaxpr: core.ClosedJaxpr) -> float:
    """Returns the operations of all matrix products and convolutions.

    A product of [m, k] and [k, n] counts 2·m·k·n, as model FLOPs utilisation is
    defined on (Chowdhery et al. 2022, arXiv:2204.02311, appendix B). Elementwise
    operations don't count, nor does what a compiler computes twice. A scan
    counts as often as it runs, a `while` once, of branches the largest.
    """
    return _flops(jaxpr.jaxpr)


def _flops(jaxpr: Any) -> float:
    return sum(map(_equation_flops, jaxpr.eqns))


def _equation_flops(equation: Any) -> float:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        lhs = equation.invars[0].aval.shape
        return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(lhs[i] for i in contracted)
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        outputs = kernel[params["dimension_numbers"].rhs_spec[0]]
        # Dilation of the input puts zeros between its elements, which cost nothing.
        given = math.prod(kernel) / outputs / math.prod(params["lhs_dilation"])
        return 2 * math.prod(equation.outvars[0].aval.shape) * given
    inside = [_flops(jaxpr) for jaxpr in _subjaxprs(params)]
    if name == "cond":
        return max(inside, default=0.0)
    return _times(name, params) * sum(inside)


def _times(name: str, params: dict[str, Any]) -> int:
    """Returns how often what is inside an equation is run."""
    if name == "scan":
        return params["length"]
    if name == "shard_map":  # written for one device; pmap is one, too
        axes = params.get("newly_manual_axes") or params["manual_axes"]
        return math.prod(params["mesh"].shape[axis] for axis in axes)
    return 1


def _subjaxprs(value: Any) -> Iterator[Any]:
    """Yields the jaxprs among an equation's parameters."""
    if hasattr(value, "eqns"):
        yield value
    elif hasattr(value, "jaxpr"):
        yield from _subjaxprs(value.jaxpr)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _subjaxprs(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _subjaxprs(item)
