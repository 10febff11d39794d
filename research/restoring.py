"""Reading a run back from its work directory."""

import dataclasses
import pathlib

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
    results: dict[str, evaluation.Result]


def restore(
    path: str, step: int | None = None, best: bool = False, dropout_samples: int | None = None
) -> Restored:
    """Restores a checkpoint of a work directory onto the devices at hand.

    Args:
      path: the work directory; only read.
      step: which checkpoint; the newest unless given.
      best: the best one by validation instead.
      dropout_samples: in place of the experiment's, for evaluation.

    Raises:
      UserError: if there is no such checkpoint, or it can't be restored.
    """
    files = workdir.Workdir(pathlib.Path(path).expanduser().absolute())
    experiment, _ = workdir.read_experiment(files)
    if dropout_samples is not None:
        evaluation_options = dataclasses.replace(
            experiment.evaluation, dropout_samples=dropout_samples
        )
        experiment = dataclasses.replace(experiment, evaluation=evaluation_options)
    checkpoints = Checkpoints(files.checkpoints, read_only=True)
    steps = checkpoints.steps()
    if not steps:
        raise UserError(f"{files.checkpoints} holds no checkpoint yet")
    if best:
        found = checkpoints.best()
        if found is None:
            raise UserError(f"{files.checkpoints} holds no checkpoint that was validated yet")
        step = found[0]
    elif step is None:
        step = steps[-1]
    elif step not in steps:
        raise UserError(
            f"{files.checkpoints} holds no checkpoint of step {step}; there are "
            f"{', '.join(map(str, steps))}"
        )
    # All devices at hand, where there are fewer than the run had.
    mesh = experiment.mesh
    if not mesh.fits(jax.device_count()):
        experiment = dataclasses.replace(experiment, mesh=dataclasses.replace(mesh, shape="auto"))
    dataset = open_dataset(experiment.data)
    program = make_program(experiment, timetable(experiment, len(dataset.train)), dataset)
    state = checkpoints.restore(step, program.state_shapes)
    checkpoints.close()
    return Restored(experiment, dataset, program, step, state)


def evaluate_checkpoint(
    path: str,
    split: str = "test",
    step: int | None = None,
    best: bool = False,
    dropout_samples: int | None = None,
) -> Evaluated:
    """Evaluates a checkpoint on "train", "validation" or "test"; see `restore`."""
    restored = restore(path, step, best, dropout_samples)
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
