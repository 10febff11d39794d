"""A training step of a run made once more, to find where its numbers are not finite."""

import dataclasses

import jax

from research import warm_start, workdir
from research.checkpoints import Checkpoints
from research.data.splits import open_dataset
from research.errors import UserError, shortened
from research.experiment import Experiment, timetable
from research.feeding import open_feed
from research.manifest import describe_leaves
from research.op_by_op import Finding, first_nonfinite
from research.program import Program, make_program, train_steps
from research.restoring import fitted
from research.state import TrainState


@dataclasses.dataclass(frozen=True)
class Replayed:
    """What a step showed when it was made once more.

    Attributes:
      start: the step of the checkpoint that the way to it began at; 0: none.
      findings: the first operations whose results are not finite.
      metrics: what the step reports, made operation by operation.
      compiled: the same of the compiled step.
    """

    start: int
    findings: list[Finding]
    metrics: dict[str, float]
    compiled: dict[str, float]


def replay(path: str, step: int) -> Replayed:
    """Makes a step of a run again, operation by operation.

    The state before it is made from the newest undamaged checkpoint before it,
    or from the beginning: batches and random numbers are functions of the step,
    so that it is the very same.

    Args:
      path: the work directory; only read.
      step: the step, counted from 1.

    Raises:
      UserError: if the run has no such step, or can't be read.
    """
    files = workdir.find_workdir(path)
    experiment, _ = workdir.read_experiment(files)
    dataset = open_dataset(experiment.data)
    plan = timetable(experiment, len(dataset.train))
    if not 1 <= step <= plan.total_steps:
        raise UserError(f"--step={step}: the run has the steps 1 to {plan.total_steps}")
    experiment = fitted(experiment)
    if experiment.mesh.mode == "pmap":  # whose operations can't be taken apart
        mesh = dataclasses.replace(experiment.mesh, mode="dp")
        experiment = dataclasses.replace(experiment, mesh=mesh)
    program = make_program(experiment, plan, dataset)
    start, state = _start(files, experiment, dataset.input_shape, program, step)

    feed = open_feed(experiment, plan, dataset.train, program.mesh)
    advance = train_steps(program, feed)
    for begun in range(start, step - 1, feed.capacity):
        state, _ = advance(state, feed.take(begun, min(feed.capacity, step - 1 - begun)))
    _check_sound(program, state, step)
    source = feed.take(step - 1, 1)
    batch = jax.jit(feed.batch)(source, 0)
    (_, metrics), findings = first_nonfinite(program.train_step, state, batch)
    _, compiled = advance(state, source)
    compiled = {name: values[0] for name, values in compiled.items()}
    return Replayed(start, findings, *(jax.tree.map(float, each) for each in (metrics, compiled)))


def _start(
    files: workdir.Workdir,
    experiment: Experiment,
    input_shape: tuple[int, ...],
    program: Program,
    step: int,
) -> tuple[int, TrainState]:
    """Returns the nearest step before this one whose state can be had, and that state."""
    checkpoints = Checkpoints(files.checkpoints, read_only=True)
    for saved in reversed(checkpoints.steps()):
        if saved < step and not checkpoints.damage(saved):
            return saved, checkpoints.restore(saved, program.state_shapes)
    state = program.init()
    if experiment.init_from:
        choice = warm_start.choose(state, experiment, input_shape)
        state = warm_start.begin_with(choice, state)
    return 0, state


def _check_sound(program: Program, state: TrainState, step: int) -> None:
    sound = jax.device_get(program.is_finite(state))
    if not sound.all():
        bad = [path for path, ok in zip(describe_leaves(state), sound, strict=True) if not ok]
        raise UserError(
            f"before step {step} there are numbers already that are not finite, in "
            f"{shortened(bad)}. Replay the step that made them: --step={step - 1}"
        )
