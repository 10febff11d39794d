"""A function evaluated operation by operation, to find where numbers cease to be finite."""

import dataclasses
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

CALLS = (
    "jit", "pjit", "closed_call", "core_call", "checkpoint", "remat2",
    "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr", "custom_lin",
)  # fmt: skip
"""Operations that do no more than call a function."""

HANOK = pathlib.Path(__file__).parents[1]
JAX = pathlib.Path(jax.__file__).parent
"""Where the code stands; JAX's own says nothing about whose operation it is."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """The first operation with a result of some kind.

    Attributes:
      kind: "NaN" or "infinity".
      operation: name of the JAX primitive.
      part: the layer with its module path, such as "layer block_0/conv_1", or
        what else of the step it belongs to.
      backward: whether it belongs to the gradient.
      source: file and line that called for it.
      result: shape, dtype and range of its result, and how many elements are of
        that kind.
      operands: the same of what it was given.
    """

    kind: str
    operation: str
    part: str
    backward: bool
    source: str
    result: str
    operands: tuple[str, ...]

    def __str__(self) -> str:
        direction = "backward" if self.backward else "forward"
        given = "".join(f"\n  given {operand}" for operand in self.operands)
        return (
            f"first {self.kind}: {self.operation} in {self.part} ({direction}), {self.source}\n"
            f"  gives {self.result}{given}"
        )


def first_nonfinite(function: Callable, *args: Any) -> tuple[Any, list[Finding]]:
    """Calls a function without compiling it, and watches every result.

    Operations run one at a time, as in its jaxpr; loops and branches, too, are
    taken apart.

    Args:
      function: a JAX function.
      *args: pytrees of arrays.

    Returns:
      What the function returns, and the first operation that gives an infinity
      and the first that gives a NaN, in the order in which they ran; either may
      be absent.
    """
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
    watcher = _Watcher()
    results = watcher.run(closed, jax.tree.leaves(args), scope="")
    return jax.tree.unflatten(jax.tree.structure(shapes), results), watcher.findings


class _Watcher:
    def __init__(self):
        self.findings: list[Finding] = []

    def run(self, jaxpr: Any, args: Sequence[Any], scope: str) -> list[Any]:
        """Evaluates a jaxpr, closed or without constants."""
        jaxpr, constants = getattr(jaxpr, "jaxpr", jaxpr), getattr(jaxpr, "consts", ())
        values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *args), strict=True))

        def read(variable):
            return variable.val if isinstance(variable, core.Literal) else values[variable]

        for equation in jaxpr.eqns:
            operands = [read(variable) for variable in equation.invars]
            inner = "/".join(filter(None, (scope, str(equation.source_info.name_stack))))
            results = self._apply(jaxpr, equation, operands, inner)
            values.update(zip(equation.outvars, results, strict=True))
        return [read(variable) for variable in jaxpr.outvars]

    def _apply(self, jaxpr: Any, equation: Any, operands: list[Any], scope: str) -> list[Any]:
        name, params = equation.primitive.name, equation.params
        if name in CALLS:
            called = next(params[key] for key in ("jaxpr", "call_jaxpr") if key in params)
            return self.run(called, operands, scope)
        if name == "cond":
            index, *operands = operands
            branches = params["branches"]
            return self.run(branches[min(max(int(index), 0), len(branches) - 1)], operands, scope)
        if name == "while":
            return self._while(params, operands, scope)
        if name == "scan":
            return self._scan(equation, operands, scope)
        results = _evaluated(jaxpr, equation, operands)
        for kind, test in (("infinity", jnp.isinf), ("NaN", jnp.isnan)):
            if not any(finding.kind == kind for finding in self.findings):
                for result in results:
                    if _is_floating(result) and test(result).any():
                        self._note(kind, int(test(result).sum()), equation, result, operands, scope)
                        break
        return results

    def _while(self, params: dict[str, Any], operands: list[Any], scope: str) -> list[Any]:
        conditions, bodies = params["cond_nconsts"], params["body_nconsts"]
        for_condition, for_body = operands[:conditions], operands[conditions:][:bodies]
        carried = operands[conditions + bodies :]
        while self.run(params["cond_jaxpr"], [*for_condition, *carried], scope)[0]:
            carried = self.run(params["body_jaxpr"], [*for_body, *carried], scope)
        return carried

    def _scan(self, equation: Any, operands: list[Any], scope: str) -> list[Any]:
        body = equation.params["jaxpr"]
        start = len(operands) - sum(_runs_along(equation.invars, body.jaxpr.invars))
        carries = len(equation.outvars) - sum(_runs_along(equation.outvars, body.jaxpr.outvars))
        fixed, carried = operands[: start - carries], operands[start - carries : start]
        order = range(equation.params["length"])
        outputs = {}
        for i in reversed(order) if equation.params["reverse"] else order:
            elements = [sequence[i] for sequence in operands[start:]]
            results = self.run(body, [*fixed, *carried, *elements], scope)
            carried, outputs[i] = results[:carries], results[carries:]
        columns = zip(*(outputs[i] for i in order), strict=True)
        return [*carried, *map(jnp.stack, columns)]

    def _note(self, kind, count, equation, result, operands, scope) -> None:
        self.findings.append(
            Finding(
                kind=kind,
                operation=equation.primitive.name,
                part=_part(scope),
                backward="transpose(" in scope,
                source=_source(equation.source_info.traceback),
                result=f"{_described(result)}; {count} of {result.size} elements",
                operands=tuple(_described(operand) for operand in operands),
            )
        )


def _evaluated(jaxpr: Any, equation: Any, operands: list[Any]) -> list[Any]:
    """Returns the results of one equation of a jaxpr."""
    given = {
        variable: operand
        for variable, operand in zip(equation.invars, operands, strict=True)
        if not isinstance(variable, core.Literal)
    }
    alone = jaxpr.replace(
        constvars=[],
        invars=list(given),
        outvars=equation.outvars,
        eqns=[equation],
        effects=equation.effects,
        debug_info=jaxpr.debug_info.with_unknown_names(),
    )
    return core.jaxpr_as_fun(core.ClosedJaxpr(alone, ()))(*given.values())


def _runs_along(outside: Sequence[Any], inside: Sequence[Any]) -> list[bool]:
    """Which variables of a loop run along it: they have an axis more outside of its body."""
    return [outer.aval.ndim > inner.aval.ndim for outer, inner in zip(outside, inside, strict=True)]


def _is_floating(value: Any) -> bool:
    return jnp.issubdtype(jnp.asarray(value).dtype, jnp.inexact)


def _described(value: Any) -> str:
    value = jnp.asarray(value)
    text = f"{value.dtype}[{','.join(map(str, value.shape))}]"
    if not _is_floating(value) or not value.size:
        return text
    finite = jnp.isfinite(value)
    if not finite.any():
        return f"{text} without a finite element"
    low = jnp.where(finite, value, jnp.inf).min()
    high = jnp.where(finite, value, -jnp.inf).max()
    text += f" from {float(low):.3g} to {float(high):.3g}"
    return text if finite.all() else f"{text} where it is finite"


def _part(scope: str) -> str:
    """Makes "transpose(jvp(Classifier))/dense_0" into "layer dense_0"."""
    names = [name for name in re.sub(r"\w+\(|\)", "", scope).split("/") if name]
    # Flax calls the outermost module, which has no name, by its class.
    if names and re.match("_?[A-Z]", names[0]):
        return f"layer {'/'.join(names[1:])}" if names[1:] else "the model, outside its layers"
    return f"the {'/'.join(names)}" if names else "the step"


def _source(traceback: Any) -> str:
    """Returns "file:line" of the innermost frame outside JAX."""
    for frame in traceback.frames if traceback else ():
        path = pathlib.Path(frame.file_name)
        if JAX not in path.parents and path.is_absolute():
            root = next((root for root in (HANOK, JAX.parent) if root in path.parents), path.anchor)
            return f"{path.relative_to(root)}:{frame.line_num}"
    return "unknown place"
