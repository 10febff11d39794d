"""The pure functions that a run repeats: (state, batch) -> (state, metrics).

The same functions serve one device, a mesh and a compilation for hardware that
isn't there; only the placement of their arguments differs.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from research import batch_axis
from research.augmentation.apply import augment
from research.augmentation.options import check_images
from research.augmentation.views import views
from research.experiment import Evaluation, Experiment, Timetable
from research.gradients import norm_of_each_layer, with_norm
from research.models.layers import KEPT
from research.models.network import Network, network
from research.objectives import Objective, objective
from research.optimizers.chain import Chain, make_chain
from research.paths import path_name
from research.state import (
    Interval,
    Normalization,
    Skips,
    TrainState,
    augmentation_key,
    dropout_key,
    init_state,
)

Batch = dict[str, jax.Array]
"""A batch: "input", uint8 [batch, height, width, channels] of images or float32
[batch, columns] of tables, and "label" int32 [batch], or float32 where numbers are
to be predicted; for evaluation also "mask" bool [batch], False where padded."""


class Steps(NamedTuple):
    """The pure functions of one experiment.

    Attributes:
      init: () -> the state before the first step.
      train_step: (state, batch) -> (state, metrics). The metrics are float32
        scalars: "loss", "accuracy" (of numbers "mse") and "gradient_norm" are means
        over the steps since the last line of metrics, "learning_rate" is the one applied.
        Of int32 are "first_nonfinite_step" and, where steps may be skipped,
        "skipped_steps". Where they are asked for, there are the norms of the
        layers' gradients.
      eval_step: (state, batch) -> sums over the unmasked examples: "loss"
        float32 scalar and "confusion" int32 [classes, classes], whose entry
        [i, j] counts examples of class i that were taken for class j, or of numbers
        "absolute_error" float32 scalar, in their own unit.
    """

    init: Callable[[], TrainState]
    train_step: Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]
    eval_step: Callable[[TrainState, Batch], dict[str, jax.Array]]


def make_steps(
    experiment: Experiment,
    timetable: Timetable,
    input_shape: tuple[int, ...],
    num_classes: int,
    normalization: Normalization,
    class_weights: tuple[float, ...] = (),
    in_use: Callable[[Any], Any] = lambda params: params,
    from_data: Callable[[], Mapping[str, np.ndarray]] = dict,
) -> Steps:
    """Builds the functions of an experiment on data of the given shape.

    Args:
      experiment: says what the steps do.
      timetable: when they log.
      input_shape: that of one input.
      num_classes: how many the labels tell apart; 0: they are numbers to be predicted.
      normalization: statistics of the training split.
      class_weights: those of data that is balanced by them.
      in_use: parameters as they are kept -> the same, placed as the model is to
        use them.
      from_data: () -> the initial parameters that follow from the data, by their
        paths; called once the inputs are known to fit.

    Raises:
      UserError: if the model or an augmentation can't take inputs of this shape, or an
        option of the optimizer or the loss doesn't fit the parameters or the classes.
    """
    experiment.model.check_input(input_shape)
    experiment.augmentation.check_input(input_shape)
    if experiment.evaluation.tta != "none":
        check_images(input_shape, "config.evaluation.tta")
    options = experiment.optimizer
    goal = objective(experiment.loss, num_classes, class_weights)
    net = network(experiment.model, goal.num_outputs, options.frozen)
    chain = make_chain(options, timetable.total_steps)

    def init() -> TrainState:
        return init_state(
            net,
            chain,
            experiment.seed,
            input_shape,
            normalization,
            with_skips=options.apply_if_finite > 0,
            given=from_data(),
        )

    def train_step(state: TrainState, batch: Batch):
        key = augmentation_key(state.seed, state.step)
        white = experiment.data.white
        batch = augment(experiment.augmentation, key, batch, num_classes, white)
        return _train_step(net, chain, goal, in_use, experiment, timetable.log_every, state, batch)

    def eval_step(state: TrainState, batch: Batch):
        return _eval_step(net, goal, in_use, experiment.evaluation, state, batch)

    parameters = jax.tree.leaves_with_path(jax.eval_shape(init).params)
    options.check_paths([path_name(path) for path, _ in parameters])
    return Steps(init, train_step, eval_step)


def _train_step(
    net: Network,
    chain: Chain,
    goal: Objective,
    in_use: Callable[[Any], Any],
    experiment: Experiment,
    log_every: int,
    state: TrainState,
    batch: Batch,
) -> tuple[TrainState, dict[str, jax.Array]]:
    options = experiment.optimizer
    labels = state.normalization.targets(batch["label"])

    def loss_of(params):
        outputs, batch_stats = net.apply(
            {"params": in_use(params), "batch_stats": state.batch_stats},
            state.normalization(batch["input"]),
            train=True,
            dropout_key=dropout_key(state.seed, state.step),
        )
        with jax.named_scope("loss"):
            loss = goal.train(outputs, labels).mean()
        return loss, (goal.correct(outputs, labels), batch_stats)

    if experiment.model.rematerialize:
        policy = jax.checkpoint_policies.save_only_these_names(KEPT)
        loss_of = jax.checkpoint(loss_of, policy=policy)

    def loss_and_gradient(params):
        (loss, aux), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
        return *batch_axis.mean((loss, gradient)), aux

    loss, gradient, (correct, batch_stats) = loss_and_gradient(state.params)
    gradient, gradient_norm = with_norm(gradient)
    correct, examples = batch_axis.total((correct.sum(dtype=jnp.int32), correct.size))
    with jax.named_scope("optimizer"):
        updates, opt_state = chain.transformation.update(
            gradient,
            state.opt_state,
            state.params,
            # Sharpness-aware minimisation asks for the gradient at other parameters.
            grad_fn=lambda params, _: loss_and_gradient(params)[1],
        )
        params = optax.apply_updates(state.params, updates)
    so_far = _interval(state, log_every)
    after = state.replace(
        step=state.step + 1,
        params=params,
        batch_stats=batch_stats,
        opt_state=opt_state,
        average=chain.average(state.counted_steps, state.average, opt_state, params),
        interval=Interval(
            steps=so_far.steps + 1,
            examples=so_far.examples + examples,
            loss=so_far.loss + loss,
            correct=so_far.correct + correct,
            gradient_norm=so_far.gradient_norm + gradient_norm,
        ),
    )
    unchanged = state.replace(step=after.step, interval=so_far)
    finite = jnp.isfinite(loss) & jnp.isfinite(gradient_norm)
    if options.sam_radius:
        # The gradient that is applied is another one.
        finite &= jnp.isfinite(optax.tree.norm(updates))
    after = _heed_nonfinite(finite, options.apply_if_finite, unchanged, after)
    sums = after.interval
    metrics = {
        "loss": sums.loss / sums.steps,
        "gradient_norm": sums.gradient_norm / sums.steps,
        "learning_rate": jnp.asarray(chain.learning_rate(state.counted_steps), jnp.float32),
        "first_nonfinite_step": after.first_nonfinite_step,
    }
    if goal.num_classes:
        metrics["accuracy"] = sums.correct / sums.examples
    else:
        metrics["mse"] = metrics["loss"] * state.normalization.target_std**2
    if experiment.logging.layer_gradients:
        metrics |= norm_of_each_layer(gradient)
    if after.skips:
        metrics["skipped_steps"] = after.skips.total
    return after, metrics


def _interval(state: TrainState, log_every: int) -> Interval:
    """Returns the sums to add a step to; they start anew after every line of metrics."""
    starts_anew = state.step % log_every == 0
    return jax.tree.map(
        lambda old, zero: jnp.where(starts_anew, zero, old), state.interval, Interval.empty()
    )


def _heed_nonfinite(
    finite: jax.Array, may_skip: int, unchanged: TrainState, after: TrainState
) -> TrainState:
    """Notes a step that is not finite, or skips it where that is allowed.

    Args:
      finite: whether loss and gradient of the step are finite, bool scalar.
      may_skip: how many steps in a row may be skipped.
      unchanged: the state if the step is skipped.
      after: the state if it is not.
    """
    stops = ~finite
    if may_skip:
        # Unlike optax.apply_if_finite: running statistics are kept, too, and no
        # NaN is ever let through.
        skips = Skips(
            total=unchanged.skips.total + ~finite,
            in_a_row=jnp.where(finite, 0, unchanged.skips.in_a_row + 1),
        )
        stops = skips.in_a_row > may_skip
        after = jax.tree.map(lambda old, new: jnp.where(finite, new, old), unchanged, after)
        after = after.replace(skips=skips)
    known = unchanged.first_nonfinite_step
    return after.replace(first_nonfinite_step=jnp.where(stops & (known == 0), after.step, known))


def _eval_step(
    net: Network,
    goal: Objective,
    in_use: Callable[[Any], Any],
    options: Evaluation,
    state: TrainState,
    batch: Batch,
) -> dict[str, jax.Array]:
    variables = {"params": in_use(state.params), "batch_stats": state.batch_stats}

    # Views and samples one after the other: all at once would need their memory at once.
    def predict(inputs):
        x = state.normalization(inputs)
        if not options.dropout_samples:
            return net.apply(variables, x)
        keys = jax.random.split(dropout_key(state.seed, state.step), options.dropout_samples)
        return goal.pool(jax.lax.map(lambda key: net.sample(variables, x, key), keys))

    if options.tta == "none":
        outputs = predict(batch["input"])
    else:
        outputs = goal.pool(jax.lax.map(predict, views(options.tta, batch["input"])))
    labels = state.normalization.targets(batch["label"])
    losses = goal.evaluate(outputs, labels)
    # A select, not a product: a padded example may give any number, also NaN.
    loss = jnp.where(batch["mask"], losses, 0.0).sum()
    if not goal.num_classes:
        errors = jnp.abs(outputs[:, 0] - labels) * state.normalization.target_std
        return {"loss": loss, "absolute_error": jnp.where(batch["mask"], errors, 0.0).sum()}
    confusion = jnp.zeros((goal.num_classes, goal.num_classes), jnp.int32)
    confusion = confusion.at[batch["label"], goal.predict(outputs)].add(
        batch["mask"].astype(jnp.int32)
    )
    return {"loss": loss, "confusion": confusion}
