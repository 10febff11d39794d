"""A run that was stopped and resumed equals one that was not, bit for bit."""

import io

import jax
import numpy as np
import pytest

from launch.flags import parse_experiment
from research import workdir
from research.checkpoints import Checkpoints
from research.console import Console
from research.data.splits import open_dataset
from research.experiment import timetable
from research.program import make_program
from research.training import train

OVERRIDES = [
    "--config.steps=50",
    "--config.logging.every_steps=7",
    "--config.logging.tensorboard=false",
    "--config.checkpoint.every_steps=10",
    "--config.optimizer.ema_decay=0.9",
    "--config.model.batch_norm=true",
]


def experiment():
    return parse_experiment(OVERRIDES, lambda values: None, "")[0]


def final_state(path):
    chosen = experiment()
    dataset = open_dataset(chosen.data)
    program = make_program(chosen, timetable(chosen, len(dataset.train)), dataset)
    checkpoints = Checkpoints(workdir.open_workdir(str(path)).checkpoints, read_only=True)
    return checkpoints.restore(checkpoints.latest_step(), program.state_shapes)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    path = tmp_path_factory.mktemp("uninterrupted")
    train(experiment(), str(path), Console(io.StringIO()))
    return path


# An epoch is 19.7 steps long: inside the first, at its end, in the second, at
# a checkpoint, and between two lines of metrics.
@pytest.mark.parametrize("stop_after", [3, 20, 30, 43])
def test_resumed_run_equals_uninterrupted_one(uninterrupted, tmp_path, stop_after):
    steps = iter(range(1, 100))
    outcome = train(
        experiment(),
        str(tmp_path),
        Console(io.StringIO()),
        lambda: "test" if next(steps) == stop_after else "",
    )
    assert outcome.stopped == "test" and outcome.step == stop_after
    train(experiment(), str(tmp_path), Console(io.StringIO()))

    expected, resumed = final_state(uninterrupted), final_state(tmp_path)
    jax.tree.map(np.testing.assert_array_equal, expected, resumed)
    assert (tmp_path / "metrics.jsonl").read_text() == (uninterrupted / "metrics.jsonl").read_text()
