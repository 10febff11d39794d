"""The pure functions of a run: (state, batch) -> (state, metrics)."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.losses import softmax_cross_entropy_with_integer_labels as cross_entropy

from research.errors import UserError
from research.experiment import Logging
from research.models.cnn import Cnn
from research.models.mlp import Mlp
from research.models.network import network
from research.optimizers.adam import Adam
from research.optimizers.schedules import Constant, OneCycle, Step, WarmupCosine
from research.optimizers.sgd import Sgd
from research.state import dropout_key
from tests import tiny

SCHEDULES = [Constant(), WarmupCosine(warmup_fraction=0.2), Step(), OneCycle()]


def assert_trees_equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def assert_trees_close(one, other, atol=1e-6):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol), one, other)


def follow(steps, batches, state=None):
    """Makes a step on each batch: the states after them, and their metrics."""
    state = steps.init() if state is None else state
    states, metrics = [], []
    for batch in batches:
        state, values = steps.train_step(state, batch)
        states.append(state)
        metrics.append(jax.device_get(values))
    return states, metrics


def logs_every(every_steps, **fields):
    return tiny.steps(tiny.experiment(logging=Logging(every_steps=every_steps), **fields))


BATCHES = [tiny.batch(12, seed) for seed in range(7)]


@pytest.fixture(scope="module")
def every_step():
    """Plain SGD whose metrics are those of single steps."""
    return logs_every(1)


@pytest.fixture(scope="module")
def dropping():
    """Steps of a model with dropout."""
    return logs_every(1, model=Mlp(widths=(32,), dropout_rate=0.5))


def test_step_descends_the_gradient_of_the_mean_loss(every_step):
    state, batch = every_step.init(), BATCHES[0]
    (after,), (metrics,) = follow(every_step, [batch], state)
    net = network(Mlp(widths=(8,)), tiny.NUM_CLASSES)

    def loss_of(params):
        logits = net.apply({"params": params}, state.normalization(jnp.asarray(batch["input"])))
        return cross_entropy(logits, batch["label"]).mean(), logits

    (loss, logits), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    expected = jax.tree.map(lambda w, g: w - 0.1 * g, state.params, gradient)
    assert_trees_close(after.params, expected)
    assert int(after.step) == 1
    assert metrics["loss"] == pytest.approx(float(loss), rel=1e-5)
    assert metrics["accuracy"] == pytest.approx((logits.argmax(-1) == batch["label"]).mean())
    assert metrics["gradient_norm"] == pytest.approx(float(optax.tree.norm(gradient)), rel=1e-5)
    assert metrics["learning_rate"] == np.float32(0.1)


def test_metrics_are_means_over_the_steps_since_the_last_line(every_step):
    _, single = follow(every_step, BATCHES)
    _, running = follow(logs_every(3), BATCHES)
    for step, interval in [(3, [0, 1, 2]), (4, [3]), (6, [3, 4, 5]), (7, [6])]:
        for name in ("loss", "accuracy", "gradient_norm"):
            mean = np.mean([single[i][name] for i in interval])
            assert running[step - 1][name] == pytest.approx(mean, rel=1e-5), (step, name)


def test_metrics_are_float32_scalars_but_for_the_step_they_name(every_step):
    _, (metrics,) = follow(every_step, BATCHES[:1])
    assert {name: (value.dtype.name, value.shape) for name, value in metrics.items()} == {
        "loss": ("float32", ()),
        "accuracy": ("float32", ()),
        "gradient_norm": ("float32", ()),
        "learning_rate": ("float32", ()),
        "first_nonfinite_step": ("int32", ()),
    }


def test_steps_built_twice_give_bitwise_equal_results():
    fields = {
        "model": Mlp(widths=(8,), batch_norm=True, dropout_rate=0.5),
        "optimizer": Adam(learning_rate=1e-2, ema_decay=0.9),
    }
    one, other = (follow(logs_every(3, **fields), BATCHES[:4]) for _ in range(2))
    assert_trees_equal(one, other)


def test_dropout_masks_are_a_function_of_seed_and_step(dropping):
    start, batch = dropping.init(), BATCHES[0]
    net = network(Mlp(widths=(32,), dropout_rate=0.5), tiny.NUM_CLASSES)
    losses = set()
    for seed, step in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        state = start.replace(seed=jnp.asarray(seed, jnp.uint32), step=jnp.asarray(step, jnp.int32))
        _, (metrics,) = follow(dropping, [batch], state)
        logits, _ = net.apply(
            {"params": start.params},
            state.normalization(jnp.asarray(batch["input"])),
            train=True,
            dropout_key=dropout_key(seed, step),
        )
        loss = float(cross_entropy(logits, batch["label"]).mean())
        assert metrics["loss"] == pytest.approx(loss, rel=1e-5)
        losses.add(loss)
    assert len(losses) == 4


def test_evaluation_knows_no_dropout(dropping):
    state, batch = dropping.init(), tiny.masked(BATCHES[0])
    later = state.replace(step=jnp.asarray(5, jnp.int32))
    assert_trees_equal(dropping.eval_step(state, batch), dropping.eval_step(later, batch))


def test_first_step_with_a_loss_that_is_no_number_is_remembered(every_step):
    (*_, good), _ = follow(every_step, BATCHES[:2])
    # Division by a standard deviation of 0 makes the images infinite.
    broken = good.normalization.replace(std=jnp.zeros(1))
    (bad,), (metrics,) = follow(every_step, BATCHES[2:3], good.replace(normalization=broken))
    assert metrics["first_nonfinite_step"] == 3
    # Also once parameters and data are sound again.
    mended = bad.replace(params=good.params, normalization=good.normalization)
    (*_, last), metrics = follow(every_step, BATCHES[3:5], mended)
    assert [values["first_nonfinite_step"] for values in metrics] == [3, 3]
    assert np.isfinite(metrics[-1]["loss"])
    # And once a later one is bad again.
    _, (metrics,) = follow(every_step, BATCHES[5:6], last.replace(normalization=broken))
    assert not np.isfinite(metrics["loss"]) and metrics["first_nonfinite_step"] == 3


def test_gradient_that_is_no_number_is_noticed_though_the_loss_is_one(every_step):
    state = every_step.init()
    huge = jax.tree.map(lambda leaf: 1e30 * leaf, state.params["logits"])
    state = state.replace(params={**state.params, "logits": huge})
    _, (metrics,) = follow(every_step, BATCHES[:1], state)
    assert np.isfinite(metrics["loss"]) and not np.isfinite(metrics["gradient_norm"])
    assert metrics["first_nonfinite_step"] == 1


def test_finite_run_names_no_step(every_step):
    _, metrics = follow(every_step, BATCHES)
    assert {int(values["first_nonfinite_step"]) for values in metrics} == {0}


@pytest.mark.parametrize(
    ("schedule", "accumulate_steps"),
    [*((schedule, 1) for schedule in SCHEDULES), (SCHEDULES[1], 3)],
    ids=lambda value: getattr(value, "name", None),
)
def test_learning_rate_in_the_metrics_is_the_one_applied(schedule, accumulate_steps):
    optimizer = Sgd(learning_rate=0.5, schedule=schedule, accumulate_steps=accumulate_steps)
    steps = logs_every(1, optimizer=optimizer)
    before = steps.init()
    # One batch again and again: while no update is made its gradient stays.
    states, metrics = follow(steps, [BATCHES[0]] * 12)
    for count, (after, values) in enumerate(zip(states, metrics, strict=True), start=1):
        moved = float(optax.tree.norm(jax.tree.map(jnp.subtract, after.params, before.params)))
        if count % accumulate_steps:
            assert moved == 0
        else:
            applied = moved / values["gradient_norm"]
            assert applied == pytest.approx(values["learning_rate"], rel=1e-3, abs=1e-5)
        before = after


def test_accumulated_batches_equal_one_large_batch():
    large = tiny.batch(12)
    small = [{name: value[i : i + 4] for name, value in large.items()} for i in (0, 4, 8)]
    model = Mlp(widths=(8,))
    accumulated, metrics = follow(
        logs_every(3, model=model, optimizer=Sgd(learning_rate=0.5, accumulate_steps=3)), small
    )
    whole, whole_metrics = follow(
        logs_every(1, model=model, optimizer=Sgd(learning_rate=0.5)), [large]
    )
    assert_trees_close(accumulated[-1].params, whole[-1].params)
    for name in ("loss", "accuracy"):
        assert metrics[-1][name] == pytest.approx(whole_metrics[-1][name], rel=1e-5)


@pytest.mark.parametrize("accumulate_steps", [1, 2])
def test_average_moves_towards_the_parameters_once_an_update(accumulate_steps):
    steps = logs_every(1, optimizer=Sgd(ema_decay=0.8, accumulate_steps=accumulate_steps))
    expected = steps.init().params
    states, _ = follow(steps, BATCHES)
    for count, state in enumerate(states, start=1):
        if count % accumulate_steps == 0:
            expected = jax.tree.map(lambda e, w: 0.8 * e + 0.2 * w, expected, state.params)
        assert_trees_close(state.average, expected)


def test_running_statistics_are_those_of_the_training_batches():
    model = Mlp(widths=(8,), batch_norm=True)
    steps = logs_every(1, model=model)
    start = steps.init()
    (after,), _ = follow(steps, BATCHES[:1], start)
    z = np.asarray(start.normalization(jnp.asarray(BATCHES[0]["input"]))).reshape(12, -1)
    z = z @ np.asarray(start.params["dense_0"]["kernel"], np.float64)
    found = after.batch_stats["dense_0_norm"]
    np.testing.assert_allclose(found["mean"], 0.1 * z.mean(0), atol=1e-5)
    np.testing.assert_allclose(found["var"], 0.9 + 0.1 * z.var(0), atol=1e-5)


def test_evaluation_sums_loss_and_confusion_over_the_examples(every_step):
    (*_, state), _ = follow(every_step, BATCHES)
    batch = tiny.batch(20, seed=9)
    found = every_step.eval_step(state, tiny.masked(batch))
    net = network(Mlp(widths=(8,)), tiny.NUM_CLASSES)
    logits = net.apply({"params": state.params}, state.normalization(jnp.asarray(batch["input"])))
    log_probabilities = np.asarray(jax.nn.log_softmax(logits))
    assert found["loss"] == pytest.approx(
        -log_probabilities[np.arange(20), batch["label"]].sum(), rel=1e-5
    )
    confusion = np.zeros((3, 3), np.int32)
    for true, predicted in zip(batch["label"], np.argmax(logits, axis=-1), strict=True):
        confusion[true, predicted] += 1
    assert len(np.unique(np.argmax(logits, axis=-1))) > 1
    np.testing.assert_array_equal(found["confusion"], confusion)
    assert found["confusion"].dtype == jnp.int32


def test_masked_examples_count_for_nothing_even_if_they_are_no_numbers(every_step):
    state = every_step.init()
    batch = tiny.batch(12)
    images = batch["input"].astype(np.float32)
    whole = tiny.masked({**batch, "input": images})
    whole["mask"][8:] = False
    damaged = {**whole, "input": images.copy()}
    damaged["input"][8:] = np.nan
    expected = every_step.eval_step(state, whole)
    assert np.isfinite(expected["loss"]) and expected["confusion"].sum() == 8
    assert_trees_equal(every_step.eval_step(state, damaged), expected)


def test_evaluation_normalises_by_running_statistics():
    steps = logs_every(1, model=Mlp(widths=(8,), batch_norm=True))
    (*_, state), _ = follow(steps, BATCHES[:3])
    batch = tiny.batch(12)
    whole = steps.eval_step(state, tiny.masked(batch))
    halves = [
        steps.eval_step(state, tiny.masked(batch, [i // 6 == half for i in range(12)]))
        for half in range(2)
    ]
    summed = jax.tree.map(jnp.add, *halves)
    assert summed["loss"] == pytest.approx(float(whole["loss"]), rel=1e-5)
    np.testing.assert_array_equal(summed["confusion"], whole["confusion"])


def test_model_that_cannot_take_the_inputs_is_refused():
    with pytest.raises(UserError, match="images of 4×4 pixels are too small"):
        tiny.steps(tiny.experiment(model=Cnn(stages=((2,),) * 3)))
