"""What an experiment may say, and the steps at which a run does something."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.errors import UserError
from research.experiment import Evaluation, Experiment, Timetable, timetable
from research.models import MODELS
from research.objectives import LOSSES
from research.optimizers import OPTIMIZERS
from research.optimizers.schedules import SCHEDULES
from research.records import from_dict, warnings


def optimizer(name="adam", **fields):
    return {"optimizer": {"name": name, **fields}}


def schedule(name, **fields):
    return optimizer(schedule={"name": name, **fields})


def mlp(**fields):
    return {"model": {"name": "mlp", **fields}}


def loss(name, **fields):
    return {"loss": {"name": name, **fields}}


def cnn(**fields):
    return {"model": {"name": "cnn", **fields}}


RULES = [
    ({"seed": -1}, "seed: must lie in [0, 2**32)"),
    ({"seed": 2**32}, "seed: must lie in [0, 2**32)"),
    ({"epochs": 0}, "epochs: must be positive, not 0.0 (or give config.steps)"),
    ({"epochs": -1.5}, "epochs: must be positive, not -1.5 (or give config.steps)"),
    ({"steps": -1}, "steps: must not be negative"),
    ({"global_batch_size": 0}, "global_batch_size: must be at least 1"),
    ({"logging": {"every_steps": 0}}, "logging.every_steps: must be at least 1"),
    ({"evaluation": {"every_epochs": 0}}, "evaluation.every_epochs: must be positive"),
    (
        {"evaluation": {"global_batch_size": 0}},
        "evaluation.global_batch_size: must be at least 1",
    ),
    (
        {"evaluation": {"test_checkpoint": "first"}},
        "evaluation.test_checkpoint: takes 'last' or 'best', not 'first'",
    ),
    ({"evaluation": {"patience": -1}}, "evaluation.patience: must not be negative"),
    (
        {"evaluation": {"dropout_samples": -1}},
        "evaluation.dropout_samples: must not be negative",
    ),
    ({"checkpoint": {"every_steps": -1}}, "checkpoint.every_steps: must not be negative"),
    ({"checkpoint": {"every_minutes": 0}}, "checkpoint.every_minutes: must be positive"),
    ({"checkpoint": {"keep": 0}}, "checkpoint.keep: must be at least 1"),
    (optimizer(learning_rate=0), "optimizer.learning_rate: must be positive, not 0.0"),
    (optimizer(learning_rate=-1e-3), "optimizer.learning_rate: must be positive, not -0.001"),
    (optimizer(clip_norm=-1), "optimizer.clip_norm: must not be negative, not -1.0"),
    (optimizer(l1=-1), "optimizer.l1: must not be negative, not -1.0"),
    (optimizer(l2=-1), "optimizer.l2: must not be negative, not -1.0"),
    (optimizer(weight_decay=-1), "optimizer.weight_decay: must not be negative, not -1.0"),
    (optimizer(accumulate_steps=0), "optimizer.accumulate_steps: must be at least 1"),
    (optimizer(ema_decay=1), "optimizer.ema_decay: must lie in [0, 1), not 1.0"),
    (optimizer(b1=1), "optimizer.b1: must lie in [0, 1), not 1.0"),
    (optimizer("adamw", b2=-0.1), "optimizer.b2: must lie in [0, 1), not -0.1"),
    (optimizer(eps=0), "optimizer.eps: must be positive, not 0.0"),
    (optimizer("momentum", momentum=1), "optimizer.momentum: must lie in [0, 1), not 1.0"),
    (optimizer("sgd", nesterov=True), "optimizer.nesterov: needs a momentum above 0"),
    (optimizer("adagrad", eps=0), "optimizer.eps: must be positive, not 0.0"),
    (
        optimizer("adagrad", initial_accumulator=-1),
        "optimizer.initial_accumulator: must not be negative",
    ),
    (optimizer("rmsprop", decay=1), "optimizer.decay: must lie in [0, 1), not 1.0"),
    (optimizer("lion", b2=1), "optimizer.b2: must lie in [0, 1), not 1.0"),
    (optimizer("adabound", gamma=0), "optimizer.gamma: must be positive, not 0.0"),
    (
        optimizer("amsbound", final_learning_rate=-1),
        "optimizer.final_learning_rate: must be positive, not -1.0",
    ),
    (optimizer("muon", l2=0.1), "optimizer.l2: would be made orthogonal; use weight_decay"),
    (optimizer("muon", adam_factor=0), "optimizer.adam_factor: must be positive, not 0.0"),
    (
        optimizer("schedule_free_adam", b1=0),
        "optimizer.b1: must be above 0: x couldn't be told from y and z",
    ),
    (
        optimizer("schedule_free_adam", l1=0.1),
        "optimizer.l1: must be 0: averaged weights are never exactly 0",
    ),
    (
        optimizer("schedule_free_adam", lookahead_steps=5),
        "optimizer.lookahead_steps: must be 0: one average is enough",
    ),
    (
        optimizer(lookahead_steps=5, ema_decay=0.9),
        "optimizer.ema_decay: must be 0: the optimizer keeps an average of its own",
    ),
    (optimizer(lookahead_steps=-1), "optimizer.lookahead_steps: must not be negative"),
    (optimizer(lookahead_rate=0), "optimizer.lookahead_rate: must lie in (0, 1], not 0.0"),
    (optimizer(sam_radius=-1), "optimizer.sam_radius: must not be negative, not -1.0"),
    (
        optimizer(freeze=["conv", "dense_("]),
        "optimizer.freeze[1]: 'dense_(' is no regular expression: missing ), unterminated "
        "subpattern at position 6",
    ),
    (
        optimizer(learning_rate_factors=[["conv", 0]]),
        "optimizer.learning_rate_factors[0]: the factor must be positive, not 0.0; to keep "
        "parameters as they are, use config.optimizer.freeze",
    ),
    (optimizer(momentum=0.9), "optimizer.momentum: unknown field."),
    (loss("mse", label_smoothing=1), "loss.label_smoothing: must lie in [0, 1), not 1.0"),
    (loss("mse", class_weights=[1, 0]), "loss.class_weights[1]: must be positive"),
    (loss("focal", gamma=-1), "loss.gamma: must not be negative"),
    (loss("focal", alpha=1), "loss.alpha: must lie in [0, 1), not 1.0"),
    (
        loss("perceptron", label_smoothing=0.1),
        "loss.label_smoothing: the perceptron's rule takes classes, not shares of them; use 0",
    ),
    (
        schedule("inverse_sqrt", warmup_fraction=1),
        "optimizer.schedule.warmup_fraction: must lie in [0, 1), not 1.0",
    ),
    (
        schedule("warmup_cosine", warmup_fraction=1),
        "optimizer.schedule.warmup_fraction: must lie in [0, 1), not 1.0",
    ),
    (
        schedule("warmup_cosine", end_factor=2),
        "optimizer.schedule.end_factor: must lie in [0, 1]",
    ),
    (schedule("step", factor=0), "optimizer.schedule.factor: must be positive"),
    (
        schedule("step", boundaries=[0.75, 0.5]),
        "optimizer.schedule.boundaries: must ascend, not (0.75, 0.5)",
    ),
    (
        schedule("step", boundaries=[0.5, 0.5]),
        "optimizer.schedule.boundaries: must ascend, not (0.5, 0.5)",
    ),
    (
        schedule("step", boundaries=[0.5, 1]),
        "optimizer.schedule.boundaries[1]: must lie in (0, 1)",
    ),
    (
        schedule("one_cycle", warmup_fraction=0),
        "optimizer.schedule.warmup_fraction: must lie in (0, 1)",
    ),
    (
        schedule("one_cycle", start_factor=0),
        "optimizer.schedule.start_factor: must lie in (0, 1]",
    ),
    (schedule("one_cycle", end_factor=0), "optimizer.schedule.end_factor: must lie in (0, 1]"),
    (mlp(widths=[8, -1]), "model.widths: must be positive, not (8, -1)"),
    (mlp(dropout_rate=1), "model.dropout_rate: must lie in [0, 1), not 1.0"),
    (mlp(dropout_rate=-0.1), "model.dropout_rate: must lie in [0, 1), not -0.1"),
    (
        mlp(compute_dtype="float16"),
        "model.compute_dtype: unknown name 'float16'. Did you mean 'bfloat16'?\n"
        "Known names: bfloat16, float32",
    ),
    (
        mlp(activation="rleu"),
        "model.activation: unknown name 'rleu'. Did you mean 'relu'?\n"
        "Known names: ada, elu, gcu, gelu, identity, leaky_relu, prelu, relu, sigmoid, silu, "
        "step, tanh",
    ),
    (
        mlp(initializer="he_norm"),
        "model.initializer: unknown name 'he_norm'. Did you mean 'he_normal'?\n"
        "Known names: auto, dirac, glorot_gaussian, glorot_normal, glorot_uniform, he_gaussian, "
        "he_normal, he_uniform, lecun_gaussian, lecun_normal, lecun_uniform, orthogonal, "
        "standard_normal, zeros",
    ),
    (cnn(stages=[]), "model.stages: needs at least one stage"),
    (cnn(stages=[[8], []]), "model.stages[1]: needs at least one convolution"),
    (cnn(stages=[[8], [0]]), "model.stages[1]: must be positive, not (0,)"),
    (cnn(widths=[0]), "model.widths: must be positive, not (0,)"),
    (cnn(kernel_size=0), "model.kernel_size: must be at least 1"),
    (cnn(pool_size=0), "model.pool_size: must be at least 1"),
    (
        cnn(pooling="maximum"),
        "model.pooling: unknown name 'maximum'. Did you mean 'max'?\nKnown names: average, max",
    ),
    (
        cnn(head="global"),
        "model.head: unknown name 'global'. Did you mean 'global_average'?\n"
        "Known names: flatten, global_average",
    ),
    (cnn(dropout_rate=1), "model.dropout_rate: must lie in [0, 1), not 1.0"),
    (cnn(stage_dropout_rate=1), "model.stage_dropout_rate: must lie in [0, 1), not 1.0"),
    (cnn(activation="sine"), "model.activation: unknown name 'sine'"),
    (cnn(initializer="ones"), "model.initializer: unknown name 'ones'"),
    (
        {"model": {"name": "resnet", "depth": 50}},
        "model.depth: takes one of 18, 20, 32, 34, 44, 56, 110, not 50",
    ),
    (
        {"model": {"name": "resnet", "stem": "huge"}},
        "model.stem: unknown name 'huge'.\nKnown names: large, small",
    ),
    (cnn(compute_dtype="int8"), "model.compute_dtype: unknown name 'int8'"),
]


@pytest.mark.parametrize(
    ("fields", "message"), RULES, ids=[message.split("\n")[0] for _, message in RULES]
)
def test_broken_rule_is_named_with_its_field(fields, message):
    with pytest.raises(UserError) as error:
        from_dict(Experiment, {"name": "x", **fields})
    found = str(error.value)
    # Either the whole message, or its first sentence where a list follows.
    assert found == f"config.{message}" or found.startswith(f"config.{message}.")


@pytest.mark.parametrize(
    ("path", "table", "fields"),
    [
        ("model", MODELS, {"model": {"name": "nonesuch"}}),
        ("loss", LOSSES, loss("nonesuch")),
        ("optimizer", OPTIMIZERS, optimizer("nonesuch")),
        ("optimizer.schedule", SCHEDULES, schedule("nonesuch")),
    ],
)
def test_unknown_component_is_answered_with_the_list(path, table, fields):
    with pytest.raises(UserError) as error:
        from_dict(Experiment, {"name": "x", **fields})
    first, last = str(error.value).split("\n")
    assert first.startswith(f"config.{path}.name: unknown name 'nonesuch'.")
    assert last == f"Known names: {', '.join(sorted(table))}"


@pytest.mark.parametrize("table", [MODELS, LOSSES, OPTIMIZERS, SCHEDULES])
def test_components_are_called_what_their_table_calls_them(table):
    assert {name: cls().name for name, cls in table.items()} == {name: name for name in table}


@pytest.mark.parametrize(
    ("epochs", "batch", "examples", "steps"),
    [
        (1, 10, 100, 10),
        (3, 30, 100, 10),  # batches span the ends of epochs
        (1, 30, 100, 4),  # a step begun is a step made
        (0.5, 10, 100, 5),
        (0.001, 10, 100, 1),
        (27, 3, 7, 63),  # 27 · (7 / 3) is slightly more than 63 in floating point
    ],
)
def test_steps_see_as_many_epochs_as_asked_for(epochs, batch, examples, steps):
    experiment = Experiment(name="x", epochs=float(epochs), global_batch_size=batch)
    assert timetable(experiment, examples).total_steps == steps


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 100))
def test_whole_epochs_make_the_fewest_steps_that_see_every_example(examples, batch, epochs):
    batch = min(batch, examples)
    experiment = Experiment(name="x", epochs=float(epochs), global_batch_size=batch)
    total_steps = timetable(experiment, examples).total_steps
    assert total_steps * batch >= epochs * examples > (total_steps - 1) * batch


def test_steps_take_precedence_over_epochs():
    experiment = Experiment(name="x", epochs=100.0, steps=7, global_batch_size=10)
    assert timetable(experiment, 50).total_steps == 7


@pytest.mark.parametrize(("every_epochs", "steps"), [(1, 3), (2, 7), (0.5, 2), (0.01, 1)])
def test_evaluation_is_due_at_the_step_nearest_to_its_epoch(every_epochs, steps):
    experiment = Experiment(
        name="x", global_batch_size=30, evaluation=Evaluation(every_epochs=float(every_epochs))
    )
    assert timetable(experiment, 100).evaluate_every == steps


def test_batch_may_be_as_large_as_the_training_split():
    assert timetable(Experiment(name="x", global_batch_size=100), 100).steps_per_epoch == 1


def test_batch_larger_than_the_training_split_is_refused():
    with pytest.raises(UserError) as error:
        timetable(Experiment(name="x", global_batch_size=101), 100)
    assert str(error.value) == (
        "config.global_batch_size: 101 is larger than the training split of 100 examples; "
        "use at most 100"
    )


def test_everything_is_due_at_its_multiples_and_after_the_last_step():
    plan = Timetable(
        total_steps=10, log_every=3, evaluate_every=4, checkpoint_every=5, steps_per_epoch=4.0
    )
    steps = range(1, 11)
    assert list(filter(plan.logs_after, steps)) == [3, 6, 9, 10]
    assert list(filter(plan.evaluates_after, steps)) == [4, 8, 10]
    assert list(filter(plan.checkpoints_after, steps)) == [5, 10]


@pytest.mark.parametrize(
    ("patience", "best_step", "last"), [(0, 4, 10), (1, 4, 8), (2, 0, 8), (2, 3, 8), (3, 4, 10)]
)
def test_training_ends_at_its_last_step_or_when_patience_does(patience, best_step, last):
    plan = Timetable(
        total_steps=10,
        log_every=3,
        evaluate_every=4,
        checkpoint_every=5,
        steps_per_epoch=4.0,
        patience=patience,
    )
    steps = range(best_step, 11)
    assert next(step for step in steps if plan.ends_after(step, best_step)) == last


def test_measuring_the_last_parameters_after_stopping_early_is_warned_of():
    experiment = Experiment(name="x", evaluation=Evaluation(patience=3))
    assert warnings(experiment) == [
        "config.evaluation.test_checkpoint: 'best' is what one stops early for, not 'last'"
    ]
    experiment.evaluation.test_checkpoint = "best"
    assert warnings(experiment) == []
