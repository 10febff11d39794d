"""From an optimizer's options to one optax chain."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from research.optimizers import wrappers
from research.optimizers.base import Optimizer
from research.paths import path_name
from research.records import is_on

UNDECAYED_LEAVES = ("bias", "scale", "negative_slope")
"""Last parts of the paths of parameters that no penalty touches: the offsets
of dense, convolution and normalisation layers, the scale of the latter, and the
slope of PReLU, which a penalty would draw towards ReLU."""


class Chain(NamedTuple):
    """An optimizer, ready for use.

    Attributes:
      transformation: gradients -> updates, over the whole parameter tree. Its
        `update` takes `grad_fn`: parameters, count -> gradient of the same batch
        there.
      learning_rate: training step (counted from 0) -> learning rate of the
        update that it belongs to; the very function that the chain applies.
      updates_after: training step (counted from 0) -> whether that step makes
        an update, rather than only accumulating its gradient.
      averages: whether an average of the parameters is kept, which starts as a
        copy of them.
      average: training step (counted from 0), average before it, optimizer state
        and parameters after it -> average after it, {} if none is kept.
    """

    transformation: optax.GradientTransformationExtraArgs
    learning_rate: optax.Schedule
    updates_after: optax.Schedule
    averages: bool
    average: Callable[[jax.Array, Any, Any, Any], Any]


def make_chain(options: Optimizer, total_steps: int) -> Chain:
    """Builds the chain: clip, L2, direction, weight decay, learning rate, L1.

    Around it stand, from the inside out, what the optimizer itself puts there,
    lookahead, accumulation, freezing and sharpness-aware minimisation.

    Args:
      options: the optimizer's options.
      total_steps: training steps of the whole run, which schedules refer to.
    """
    every = options.accumulate_steps
    unit = options.schedule.function(1.0, max(1, total_steps // every))

    def schedule(count):
        # The peak may be an argument of the program: it stays outside of optax's schedules.
        return options.learning_rate * unit(count)

    parts = [
        optax.clip_by_global_norm(options.clip_norm) if is_on(options.clip_norm) else None,
        optax.add_decayed_weights(options.l2, decay_mask) if is_on(options.l2) else None,
        options.direction(),
        optax.add_decayed_weights(options.weight_decay, decay_mask)
        if is_on(options.weight_decay)
        else None,
        optax.scale_by_learning_rate(schedule),
        _scale_by_factors(options) if options.learning_rate_factors else None,
        soft_threshold(options, schedule) if is_on(options.l1) else None,
    ]
    transformation = options.wrap(
        optax.chain(*[part for part in parts if part is not None]), schedule
    )
    if options.lookahead_steps:
        transformation = wrappers.lookahead(
            transformation, options.lookahead_steps, options.lookahead_rate
        )
    if every > 1:
        transformation = optax.MultiSteps(transformation, every).gradient_transformation()
    if options.freeze:
        transformation = optax.partition(
            {"trained": transformation, "frozen": optax.set_to_zero()},
            lambda params: by_path(
                lambda path: "frozen" if options.frozen(path) else "trained", params
            ),
        )
    if options.sam_radius:
        transformation = wrappers.sharpness_aware(transformation, options.sam_radius)

    def updates_after(step):
        return (step + 1) % every == 0

    def average(step, before, opt_state, params):
        if options.ema_decay:
            weight = jnp.where(updates_after(step), 1 - options.ema_decay, 0.0)
            # Of equal values this form makes the same again: frozen parameters.
            return jax.tree.map(lambda old, new: old + weight * (new - old), before, params)
        return wrappers.averaged_by(opt_state, params) if options.averages else {}

    return Chain(
        transformation=optax.with_extra_args_support(transformation),
        learning_rate=lambda step: schedule(step // every),
        updates_after=updates_after,
        averages=options.averages,
        average=average,
    )


def by_path(function: Callable[[str], Any], params: Any) -> Any:
    """Returns a tree of what a function makes of the parameters' paths."""
    return jax.tree_util.tree_map_with_path(lambda path, _: function(path_name(path)), params)


def decay_mask(params: Any) -> Any:
    """Returns a tree of booleans: True where penalties apply, False elsewhere."""
    return by_path(lambda path: path.split("/")[-1] not in UNDECAYED_LEAVES, params)


def _scale_by_factors(options: Optimizer) -> optax.GradientTransformation:
    def scale(updates, _):
        factors = by_path(options.learning_rate_factor, updates)
        return jax.tree.map(lambda update, factor: factor * update, updates, factors)

    return optax.stateless(scale)


class SoftThresholdState(NamedTuple):
    """State of `soft_threshold`: the number of updates made, int32 scalar."""

    count: jax.Array


def soft_threshold(options: Optimizer, schedule: optax.Schedule) -> optax.GradientTransformation:
    """L1 penalty by its proximal operator, so that weights end at exactly 0.

    After the update w' of the other transformations, w ← sign(w')·max(|w'| − ηλ, 0)
    (iterative soft-thresholding, Daubechies et al. 2004; Tibshirani 1996 for the
    penalty). Parameters outside `decay_mask` are left alone.

    Args:
      options: with λ, and the factors of η.
      schedule: updates made -> learning rate η.
    """

    def init(params):
        del params
        return SoftThresholdState(jnp.zeros((), jnp.int32))

    def update(updates, state, params):
        threshold = options.l1 * schedule(state.count)

        def shrink(update, param, penalised, factor):
            if not penalised:
                return update
            target = param + update
            shrunk = jnp.maximum(jnp.abs(target) - factor * threshold, 0)
            return jnp.sign(target) * shrunk - param

        factors = by_path(options.learning_rate_factor, params)
        updates = jax.tree.map(shrink, updates, params, decay_mask(params), factors)
        return updates, SoftThresholdState(state.count + 1)

    return optax.GradientTransformation(init, update)
