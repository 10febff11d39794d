"""Dispatch: how a run's steps are grouped and fed changes none of its results."""

import numpy as np
import pytest

from launch.flags import parse_experiment
from research.checkpoint_files import read_arrays
from research.experiment import Timetable
from tests.runs import experiment, run

STEPS = 23
COMMON = [
    f"--config.steps={STEPS}",
    "--config.model.widths=(16,)",
    "--config.model.dropout_rate=0.3",
    "--config.augmentation.crop=1",
    "--config.optimizer.ema_decay=0.9",
    "--config.logging.every_steps=4",
    "--config.logging.tensorboard=false",
    "--config.evaluation.every_epochs=0.45",
    "--config.checkpoint.every_steps=7",
]


def result(path, *feeding):
    """The final state and all lines of metrics of a run."""
    run(experiment(*COMMON, *feeding), path)
    return read_arrays(path / "checkpoints" / str(STEPS)), (path / "metrics.jsonl").read_text()


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory):
    return result(tmp_path_factory.mktemp("one"), "--config.feeding.steps_at_once=1")


@pytest.mark.parametrize(
    "feeding",
    [
        [],
        ["--config.feeding.steps_at_once=3"],
        ["--config.feeding.source=streamed"],
        ["--config.feeding.source=streamed", "--config.feeding.steps_at_once=1"],
    ],
)
def test_state_and_metrics_are_the_same_bit_for_bit(one_by_one, tmp_path, feeding):
    expected, lines = one_by_one
    state, found = result(tmp_path, *feeding)
    assert found == lines and lines.count("\n") > STEPS // 4
    assert state.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(state[name], values, name)


def test_steps_pause_where_something_is_due():
    plan = Timetable(
        total_steps=20, log_every=1, evaluate_every=6, checkpoint_every=4, steps_per_epoch=6
    )
    at, stops = 0, []
    while at < plan.total_steps:
        at += plan.steps_until_pause(at)
        stops.append(at)
    assert stops == [4, 6, 8, 12, 16, 18, 20]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--config.feeding.source=disk", "resident"),
        ("--config.feeding.steps_at_once=-1", "must not be negative"),
        ("--config.feeding.threads=0", "must be at least 1"),
    ],
)
def test_wrong_feeding_is_refused(flag, message):
    with pytest.raises(Exception, match=message):
        parse_experiment([flag], lambda values: None, "")
