"""Methods at work in the whole step and in whole runs: frozen layers, losses, wrappers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research import training
from research.checkpoints import Checkpoints
from research.data.splits import open_dataset
from research.errors import UserError
from research.evaluation import evaluate_with_average
from research.experiment import Evaluation, timetable
from research.models.cnn import Cnn
from research.models.mlp import Mlp
from research.models.network import network
from research.models.perceptron import Perceptron
from research.objectives import Focal, MeanSquaredError, SigmoidCrossEntropy, SoftmaxCrossEntropy
from research.optimizers.adam import Adam, AdamW
from research.optimizers.schedule_free import ScheduleFreeAdam
from research.optimizers.sgd import Sgd
from research.program import make_program
from research.state import dropout_key
from tests import tiny
from tests.runs import experiment, final_state, run

BATCHES = [tiny.batch(12, seed) for seed in range(5)]


def follow(chosen, count=5):
    """The state before and after some steps, and the metrics of the last one."""
    steps = tiny.steps(chosen)
    state = before = steps.init()
    for batch in BATCHES[:count]:
        state, metrics = steps.train_step(state, batch)
    return before, state, metrics


def changed(before, after):
    """Which leaves differ."""
    return jax.tree.map(lambda a, b: bool((a != b).any()), before, after)


@pytest.mark.parametrize(
    "optimizer",
    [AdamW(weight_decay=0.1, ema_decay=0.5), ScheduleFreeAdam()],
    ids=lambda optimizer: optimizer.name,
)
def test_frozen_layers_and_their_statistics_are_bit_identical_and_the_head_changes(optimizer):
    model = Cnn(stages=((3,), (4,)), widths=(5,), dropout_rate=0.2)
    optimizer = dataclasses.replace(optimizer, learning_rate=0.1, freeze=("^conv_",))
    before, after, _ = follow(tiny.experiment(model=model, optimizer=optimizer))
    for kind in ("params", "batch_stats", *(["average"] if optimizer.averages else [])):
        found = changed(getattr(before, kind), getattr(after, kind))
        for layer, leaves in found.items():
            assert set(leaves.values()) == {not layer.startswith("conv_")}, (kind, layer)


def test_pattern_that_fits_no_parameter_is_refused_before_anything_is_compiled():
    chosen = tiny.experiment(optimizer=Sgd(freeze=("conv_",)))
    with pytest.raises(UserError, match="'conv_' is found in no parameter's path"):
        tiny.pure_steps(chosen)


def test_class_weights_that_do_not_fit_the_data_are_refused_before_anything_is_compiled():
    chosen = tiny.experiment(loss=SoftmaxCrossEntropy(class_weights=(1.0, 2.0)))
    with pytest.raises(UserError, match="2 weights are given for 3 classes"):
        tiny.pure_steps(chosen)


def test_sharpness_aware_step_descends_the_gradient_uphill_with_the_same_mask_and_batch():
    model = Mlp(widths=(8,), batch_norm=True, dropout_rate=0.5)
    plain = tiny.steps(tiny.experiment(model=model, optimizer=Sgd(learning_rate=1.0)))
    aware = tiny.steps(
        tiny.experiment(model=model, optimizer=Sgd(learning_rate=1.0, sam_radius=0.3))
    )
    start, batch = plain.init(), BATCHES[0]

    def gradient_at(params):
        after, _ = plain.train_step(start.replace(params=params), batch)
        return jax.tree.map(jnp.subtract, params, after.params)

    gradient = gradient_at(start.params)
    scale = 0.3 / optax.tree.norm(gradient)
    uphill = jax.tree.map(lambda w, g: w + scale * g, start.params, gradient)
    expected = jax.tree.map(jnp.subtract, start.params, gradient_at(uphill))
    found, metrics = aware.train_step(aware.init(), batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found.params, expected)
    # Statistics, loss and norm of the gradient are those at the parameters themselves.
    after, plain_metrics = plain.train_step(start, batch)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
        (found.batch_stats, metrics["loss"], metrics["gradient_norm"]),
        (after.batch_stats, plain_metrics["loss"], plain_metrics["gradient_norm"]),
    )


@pytest.mark.parametrize(
    ("loss", "num_classes"),
    [
        (SoftmaxCrossEntropy(label_smoothing=0.1), 2),
        (SigmoidCrossEntropy(), 2),
        (SigmoidCrossEntropy(), 3),
        (Focal(), 2),
        (MeanSquaredError(), 3),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_every_loss_learns_its_classes_and_is_evaluated(loss, num_classes):
    batch = tiny.batch(48)
    batch["label"] = np.minimum(batch["label"], num_classes - 1)
    chosen = tiny.experiment(loss=loss, optimizer=Adam(learning_rate=0.02), steps=100)
    steps = tiny.steps(chosen, num_classes)
    state = steps.init()
    assert state.params["logits"]["bias"].shape == (
        (1,) if num_classes == 2 and loss.name != "softmax_cross_entropy" else (num_classes,)
    )
    first = steps.eval_step(state, tiny.masked(batch))
    for _ in range(100):
        state, metrics = steps.train_step(state, batch)
    last = steps.eval_step(state, tiny.masked(batch))
    assert last["loss"] < 0.5 * first["loss"]
    assert last["confusion"].shape == (num_classes, num_classes)
    np.testing.assert_array_equal(last["confusion"].sum(axis=1), np.bincount(batch["label"]))
    assert np.trace(last["confusion"]) > 40


def test_class_weight_decides_whose_mistakes_are_made():
    generator = np.random.default_rng(0)
    # Half of the examples look alike, whatever their class.
    images = generator.integers(0, 256, (48, *tiny.IMAGE_SHAPE), np.uint8)
    images[:24] = 100
    batch = {"input": images, "label": np.arange(48, dtype=np.int32) % 2}

    def predicted_first(weights):
        loss = SigmoidCrossEntropy(class_weights=weights)
        steps = tiny.steps(tiny.experiment(model=Perceptron(), loss=loss, steps=200), 2)
        state = steps.init()
        for _ in range(200):
            state, _ = steps.train_step(state, batch)
        alike = {name: values[:24] for name, values in batch.items()}
        return int(steps.eval_step(state, tiny.masked(alike))["confusion"][:, 0].sum())

    assert (predicted_first((5.0, 1.0)), predicted_first((1.0, 5.0))) == (24, 0)


def test_weights_of_balanced_data_act_as_those_of_the_loss():
    weights, batch = (0.5, 1.0, 4.0), BATCHES[0]
    given = tiny.steps(tiny.experiment(loss=SoftmaxCrossEntropy(class_weights=weights)))
    balanced = tiny.steps(tiny.experiment(), class_weights=weights)
    after = [steps.train_step(steps.init(), batch) for steps in (given, balanced)]
    jax.tree.map(np.testing.assert_array_equal, *after)


def test_kept_average_is_evaluated_beside_the_parameters():
    chosen = tiny.experiment(optimizer=ScheduleFreeAdam(learning_rate=0.05))
    dataset = tiny.dataset()
    program = make_program(chosen, timetable(chosen, len(dataset.train)), dataset)
    state = program.init()
    for batch in BATCHES:
        state, _ = program.train_step(state, jax.device_put(batch, program.batch_sharding))
    found = evaluate_with_average(
        program.eval_step, state, dataset.validation, "validation", 17, program.batch_sharding
    )
    assert list(found) == ["validation", "validation_average"]
    assert found["validation_average"].loss != found["validation"].loss


def test_monte_carlo_dropout_averages_the_predictions_of_masks():
    model = Mlp(widths=(8,), dropout_rate=0.5, batch_norm=True)
    chosen = tiny.experiment(model=model, evaluation=Evaluation(dropout_samples=6))
    steps, batch = tiny.steps(chosen), tiny.batch(20)
    state = steps.init()
    found = steps.eval_step(state, tiny.masked(batch))
    net = network(model, tiny.NUM_CLASSES)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    images = state.normalization(jnp.asarray(batch["input"]))
    keys = jax.random.split(dropout_key(state.seed, state.step), 6)
    mean = sum(jax.nn.softmax(net.sample(variables, images, key)) for key in keys) / 6
    expected = -np.log(mean[np.arange(20), batch["label"]]).sum()
    assert float(found["loss"]) == pytest.approx(float(expected), rel=1e-4)
    accurate = (np.argmax(mean, axis=-1) == batch["label"]).sum()
    assert np.trace(found["confusion"]) == accurate
    jax.tree.map(np.testing.assert_array_equal, found, steps.eval_step(state, tiny.masked(batch)))


COMMON = [
    "--config.steps=30",
    "--config.logging.every_steps=7",
    "--config.logging.tensorboard=false",
    "--config.model.widths=(16,)",
    "--config.model.batch_norm=true",
]
WRAPPED = {
    "schedule_free": [
        "--config.optimizer.name=schedule_free_adam",
        "--config.optimizer.accumulate_steps=2",
        "--config.optimizer.freeze=('^dense_0',)",
        "--config.loss.name=focal",
    ],
    "muon": [
        "--config.optimizer.name=muon",
        "--config.optimizer.learning_rate_factors=(('logits', 0.1),)",
        "--config.optimizer.lookahead_steps=4",
        "--config.optimizer.sam_radius=0.05",
    ],
}


@pytest.mark.parametrize("name", WRAPPED)
def test_resumed_run_equals_uninterrupted_one(name, tmp_path):
    chosen = experiment(*COMMON, *WRAPPED[name])
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    run(chosen, whole)
    assert run(chosen, resumed, stop_after=13).stopped
    run(chosen, resumed)
    jax.tree.map(
        np.testing.assert_array_equal, final_state(chosen, whole), final_state(chosen, resumed)
    )


def test_training_and_the_choice_of_a_checkpoint_never_read_test(tmp_path, monkeypatch):
    events = []

    def noted(name, function):
        def call(*args, **kwargs):
            events.append(name)
            return function(*args, **kwargs)

        return call

    def open_noting(data):
        dataset = open_dataset(data)
        return dataclasses.replace(dataset, read_test=noted("test", dataset.read_test))

    monkeypatch.setattr(training, "open_dataset", open_noting)
    monkeypatch.setattr(Checkpoints, "save", noted("save", Checkpoints.save))
    run(experiment(*COMMON, "--config.evaluation.every_epochs=0.4"), tmp_path)
    assert events[-1] == "test" and set(events[:-1]) == {"save"} and len(events) > 3
