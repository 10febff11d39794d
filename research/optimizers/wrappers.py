"""What stands around an optimizer's chain: lookahead, sharpness-aware minimisation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from optax.contrib import ScheduleFreeState, sam, schedule_free_eval_params


class LookaheadState(NamedTuple):
    """State of `lookahead`: the slow weights, and what optax remembers."""

    slow: Any
    fast: optax.LookaheadState


def lookahead(
    fast: optax.GradientTransformation, steps: int, rate: float
) -> optax.GradientTransformation:
    """Every `steps` updates: slow ← slow + α(fast − slow), fast ← slow.

    Zhang et al. 2019 (arXiv:1907.08610). optax's transformation, with the slow
    weights in its state rather than beside the parameters.

    Args:
      fast: the optimizer within.
      steps: updates k between two synchronisations.
      rate: α.
    """
    both = optax.lookahead(fast, steps, rate)

    def init(params):
        slow = jax.tree.map(jnp.copy, params)
        return LookaheadState(slow, both.init(optax.LookaheadParams(fast=params, slow=slow)))

    def update(updates, state, params):
        weights = optax.LookaheadParams(fast=params, slow=state.slow)
        updates, fast_state = both.update(updates, state.fast, weights)
        return updates.fast, LookaheadState(
            optax.apply_updates(state.slow, updates.slow), fast_state
        )

    return optax.GradientTransformation(init, update)


def sharpness_aware(
    transformation: optax.GradientTransformation, radius: float
) -> optax.GradientTransformationExtraArgs:
    """Gives the transformation the gradient at w + ρ·g/‖g‖ instead of g, that at w.

    Foret et al. 2021 (arXiv:2010.01412), equations 2 and 3. Its update takes
    `grad_fn`, which maps parameters (and a count) to the gradient there, of the
    same batch.

    Args:
      transformation: what makes updates of the gradient.
      radius: ρ.
    """

    def descend(gradient, _):
        # The authors' 1e-12: a gradient of 0 has no direction.
        scale = -radius / (optax.tree.norm(gradient) + 1e-12)
        return jax.tree.map(lambda g: scale * g, gradient)

    # It is negated there: the way up.
    return sam(transformation, optax.stateless(descend), opaque_mode=True)


_KEPT = {LookaheadState: "slow", ScheduleFreeState: "z"}
"""State that keeps weights -> its field that holds them; frozen ones are masked there."""


def averaged_by(opt_state: Any, params: Any) -> Any:
    """Returns the averaged parameters that an optimizer keeps in its state.

    They are the slow weights of `lookahead` or x of a schedule-free optimizer;
    frozen parameters, of which neither knows, are taken from `params`.
    """
    (state,) = filter(_keeps_weights, jax.tree.leaves(opt_state, is_leaf=_keeps_weights))

    def average(kept, param):
        if _is_masked(kept):
            return param
        if isinstance(state, LookaheadState):
            return kept
        return schedule_free_eval_params(state._replace(z=kept), param)

    kept = getattr(state, _KEPT[type(state)])
    return jax.tree.map(average, kept, params, is_leaf=_is_masked)


def begun_at(opt_state: Any, params: Any) -> Any:
    """Returns an initial optimizer state that keeps copies of these parameters."""

    def copy(kept, param):
        return kept if _is_masked(kept) else jnp.copy(param)

    def begin(state):
        if not _keeps_weights(state):
            return state
        field = _KEPT[type(state)]
        kept = jax.tree.map(copy, getattr(state, field), params, is_leaf=_is_masked)
        return state._replace(**{field: kept})

    return jax.tree.map(begin, opt_state, is_leaf=_keeps_weights)


def _keeps_weights(state: Any) -> bool:
    return type(state) in _KEPT


def _is_masked(kept: Any) -> bool:
    return isinstance(kept, optax.MaskedNode)
