"""Reading a run back from its work directory."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from research import evaluation, workdir
from research.checkpoints import Checkpoints
from research.data.splits import Dataset, Split, open_dataset
from research.errors import UserError
from research.experiment import Experiment, timetable
from research.program import Program, make_program
from research.state import TrainState


@dataclasses.dataclass(frozen=True)
class Restored:
    """A checkpoint of a run, and what is needed to use it."""

    experiment: Experiment
    dataset: Dataset
    program: Program
    step: int
    state: TrainState


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """A checkpoint's results on a split, by name ("test", "test_average")."""

    step: int
    class_names: tuple[str, ...]
    results: dict[str, evaluation.Measured]


def restore(
    path: str,
    step: int | None = None,
    best: bool = False,
    evaluation_changes: Mapping[str, Any] | None = None,
) -> Restored:
    """Restores a checkpoint of a work directory onto the devices at hand.

    Args:
      path: the work directory; only read.
      step: which checkpoint; the newest unless given.
      best: the best one by validation instead.
      evaluation_changes: fields of `Evaluation` in place of the experiment's.

    Raises:
      UserError: if there is no such checkpoint, or it can't be restored.
    """
    files = workdir.find_workdir(path)
    experiment, _ = workdir.read_experiment(files)
    evaluation_options = dataclasses.replace(experiment.evaluation, **(evaluation_changes or {}))
    experiment = dataclasses.replace(experiment, evaluation=evaluation_options)
    checkpoints = Checkpoints(files.checkpoints, read_only=True)
    step = checkpoints.pick(step, best)
    experiment = fitted(experiment)
    dataset = open_dataset(experiment.data)
    program = make_program(experiment, timetable(experiment, len(dataset.train)), dataset)
    state = checkpoints.restore(step, program.state_shapes)
    checkpoints.close()
    return Restored(experiment, dataset, program, step, state)


def fitted(experiment: Experiment) -> Experiment:
    """Returns an experiment on all devices at hand, if there are fewer than its mesh has.

    Raises:
      UserError: if it is a population, whose checkpoints hold many states.
    """
    if experiment.population.size > 1:
        raise UserError(
            "the work directory holds a population. Make the replica that is meant a run of its "
            "own first, with python -m launch.replica"
        )
    mesh = experiment.mesh
    if mesh.fits(jax.device_count()):
        return experiment
    return dataclasses.replace(experiment, mesh=dataclasses.replace(mesh, shape="auto"))


def evaluate_checkpoint(
    path: str,
    split: str = "test",
    step: int | None = None,
    best: bool = False,
    evaluation_changes: Mapping[str, Any] | None = None,
) -> Evaluated:
    """Evaluates a checkpoint on "train", "validation" or "test"; see `restore`."""
    restored = restore(path, step, best, evaluation_changes)
    return Evaluated(
        restored.step,
        restored.dataset.class_names,
        evaluation.evaluate_with_average(
            restored.program.eval_step,
            restored.state,
            named_split(restored.dataset, split),
            split,
            restored.experiment.evaluation.global_batch_size,
            restored.program.batch_sharding,
        ),
    )


def named_split(dataset: Dataset, name: str) -> Split:
    """Returns the split called "train", "validation" or "test"."""
    return dataset.read_test() if name == "test" else getattr(dataset, name)
