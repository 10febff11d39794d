"""Small real runs for tests: the default experiment, shortened by overrides."""

import dataclasses
import io
import itertools

from launch.flags import parse_experiment
from research import workdir
from research.checkpoints import Checkpoints
from research.console import Console
from research.data.splits import open_dataset
from research.experiment import timetable
from research.program import make_program
from research.training import Outcome, train


def experiment(*overrides):
    """Returns the digits default with flags such as "--config.steps=5"."""
    return parse_experiment(list(overrides), lambda values: None, "")[0]


def run(chosen, path, stop_after: int | None = None, output=None, kind=None) -> Outcome:
    """Trains in `path`; asks it to stop once `stop_after` steps were made."""
    asked = itertools.count()
    if stop_after is not None:
        # So that it is asked once before compiling and then before every step.
        one_by_one = dataclasses.replace(chosen.feeding, steps_at_once=1)
        chosen = dataclasses.replace(chosen, feeding=one_by_one)
    return train(
        chosen,
        str(path),
        Console(output or io.StringIO()),
        lambda: "test" if stop_after is not None and next(asked) > stop_after else "",
        kind,
    )


def final_state(chosen, path):
    """Returns the state of the newest checkpoint in `path`."""
    dataset = open_dataset(chosen.data)
    program = make_program(chosen, timetable(chosen, len(dataset.train)), dataset)
    checkpoints = Checkpoints(workdir.find_workdir(path).checkpoints, read_only=True)
    return checkpoints.restore(checkpoints.latest_step(), program.state_shapes)
