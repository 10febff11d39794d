"""From an optimizer's options to one optax chain."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from research.optimizers.base import Optimizer

UNDECAYED_LEAVES = ("bias", "scale")
"""Last parts of the paths of parameters that no penalty touches: the offsets
of dense, convolution and normalisation layers, and the scale of the latter."""


class Chain(NamedTuple):
    """An optimizer, ready for use.

    Attributes:
      transformation: gradients -> updates, over the whole parameter tree.
      learning_rate: training step (counted from 0) -> learning rate of the
        update that it belongs to; the very function that the chain applies.
      updates_after: training step (counted from 0) -> whether that step makes
        an update, rather than only accumulating its gradient.
    """

    transformation: optax.GradientTransformation
    learning_rate: optax.Schedule
    updates_after: optax.Schedule


def make_chain(options: Optimizer, total_steps: int) -> Chain:
    """Builds the chain: clip, L2, direction, weight decay, learning rate, L1.

    Args:
      options: the optimizer's options.
      total_steps: training steps of the whole run, which schedules refer to.
    """
    every = options.accumulate_steps
    schedule = options.schedule.function(options.learning_rate, max(1, total_steps // every))
    parts = [
        optax.clip_by_global_norm(options.clip_norm) if options.clip_norm else None,
        optax.add_decayed_weights(options.l2, decay_mask) if options.l2 else None,
        options.direction(),
        optax.add_decayed_weights(options.weight_decay, decay_mask)
        if options.weight_decay
        else None,
        optax.scale_by_learning_rate(schedule),
        soft_threshold(options.l1, schedule) if options.l1 else None,
    ]
    transformation = optax.chain(*[part for part in parts if part is not None])
    if every > 1:
        transformation = optax.MultiSteps(transformation, every).gradient_transformation()
    return Chain(
        transformation=transformation,
        learning_rate=lambda step: schedule(step // every),
        updates_after=lambda step: (step + 1) % every == 0,
    )


def decay_mask(params: Any) -> Any:
    """Returns a tree of booleans: True where penalties apply, False elsewhere."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path[-1].key not in UNDECAYED_LEAVES, params
    )


class SoftThresholdState(NamedTuple):
    """State of `soft_threshold`: the number of updates made, int32 scalar."""

    count: jax.Array


def soft_threshold(l1: float, schedule: optax.Schedule) -> optax.GradientTransformation:
    """L1 penalty by its proximal operator, so that weights end at exactly 0.

    After the update w' of the other transformations, w ← sign(w')·max(|w'| − ηλ, 0)
    (iterative soft-thresholding, Daubechies et al. 2004; Tibshirani 1996 for the
    penalty). Parameters outside `decay_mask` are left alone.

    Args:
      l1: λ.
      schedule: updates made -> learning rate η.
    """

    def init(params):
        del params
        return SoftThresholdState(jnp.zeros((), jnp.int32))

    def update(updates, state, params):
        threshold = l1 * schedule(state.count)

        def shrink(update, param, penalised):
            if not penalised:
                return update
            target = param + update
            return jnp.sign(target) * jnp.maximum(jnp.abs(target) - threshold, 0) - param

        updates = jax.tree.map(shrink, updates, params, decay_mask(params))
        return updates, SoftThresholdState(state.count + 1)

    return optax.GradientTransformation(init, update)
