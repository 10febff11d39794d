"""An experiment on slices of different sizes."""

import pytest

from research.data.summary import Summary
from research.errors import UserError
from research.experiment import Evaluation, Mesh, timetable
from research.optimizers.sgd import Sgd
from research.planning.options import STRONG, WEAK
from research.planning.scaling import on_devices, run_plan, steps_of
from tests import tiny

DATA = Summary((4, 4, 1), 3, train=1000, validation=100, test=200)
BASE = tiny.experiment(
    steps=0, epochs=4, global_batch_size=32, evaluation=Evaluation(global_batch_size=64)
)


def test_weak_scaling_holds_the_work_of_each_device():
    scaled = on_devices(BASE, 32, 8, WEAK)
    assert scaled.global_batch_size == 32 * 4
    assert scaled.evaluation.global_batch_size == 64 * 4
    assert scaled.epochs == BASE.epochs


def test_on_the_slice_that_it_was_given_for_the_experiment_is_itself():
    assert on_devices(BASE, 8, 8, WEAK) == BASE


def test_a_part_of_the_batch_can_be_given():
    assert on_devices(BASE, 8, 8, WEAK, per_device_batch_size=100).global_batch_size == 800


def test_weak_scaling_sees_as_many_examples():
    counted = tiny.experiment(
        steps=100, global_batch_size=32, evaluation=Evaluation(global_batch_size=64)
    )
    assert on_devices(counted, 32, 8, WEAK).steps == 25


def test_what_lies_along_another_axis_does_not_divide_the_batch():
    experiment = tiny.experiment(global_batch_size=32, mesh=Mesh(shape="model:4"),
                                 evaluation=Evaluation(global_batch_size=64))  # fmt: skip
    assert on_devices(experiment, 32, 8, WEAK).global_batch_size == 32 * 4
    assert on_devices(experiment, 8, 8, WEAK, per_device_batch_size=10).global_batch_size == 20


def test_strong_scaling_leaves_the_experiment_as_it_is():
    assert on_devices(BASE, 32, 8, STRONG) == BASE


def test_a_batch_that_the_devices_cannot_share_is_refused():
    with pytest.raises(UserError, match="nearest sizes that can are 256"):
        on_devices(BASE, 256, 8, STRONG)


def test_a_batch_that_the_smallest_slice_cannot_share_is_refused_with_the_way_out():
    with pytest.raises(UserError, match="or give --per_device_batch_size"):
        on_devices(BASE, 256, 256, WEAK)


def test_a_mesh_that_leaves_devices_unused_is_refused():
    experiment = tiny.experiment(mesh=Mesh(shape="data:4"))
    with pytest.raises(UserError, match="data:4 uses 4 of 8 devices"):
        on_devices(experiment, 8, 8, WEAK)


@pytest.mark.parametrize("every_epochs", [0.1, 1.0, 1.7, 50.0])
def test_a_run_is_all_steps_that_its_timetable_makes(every_epochs):
    experiment = tiny.experiment(
        steps=0, epochs=4, global_batch_size=32,
        evaluation=Evaluation(global_batch_size=64, every_epochs=every_epochs),
    )  # fmt: skip
    plan = timetable(experiment, DATA.train)
    evaluations = sum(plan.evaluates_after(step) for step in range(1, plan.total_steps + 1))
    run = run_plan(experiment, DATA, train_seconds=1.0, eval_seconds=0.1, chips=16)
    assert run.train_steps == plan.total_steps == 125
    assert run.eval_steps == 2 * evaluations + 4  # 100 and 200 examples in batches of 64
    assert run.seconds == pytest.approx(125 + 0.1 * run.eval_steps)
    assert run.chip_hours == pytest.approx(run.seconds * 16 / 3600)


def test_averaged_parameters_are_evaluated_beside_the_last_ones():
    plain, averaged = (
        run_plan(
            tiny.experiment(optimizer=Sgd(learning_rate=0.1, ema_decay=decay)), DATA, 1.0, 1.0, 1
        )
        for decay in (0.0, 0.9)
    )
    assert averaged.eval_steps == 2 * plain.eval_steps


def test_a_batch_larger_than_the_training_split_has_steps_to_compile_and_a_reason():
    large = tiny.experiment(global_batch_size=2000)
    plan, reason = steps_of(large, DATA)
    assert plan.total_steps == 12
    assert "larger than the training split" in reason
    assert steps_of(BASE, DATA) == (timetable(BASE, DATA.train), "")
