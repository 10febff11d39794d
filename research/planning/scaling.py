"""An experiment on slices of different sizes: what is held, and what a run comes to."""

import dataclasses
import math

from jax.sharding import AbstractMesh

from research.data.summary import Summary
from research.errors import UserError
from research.experiment import Experiment, Timetable, timetable
from research.mesh import check_divisible
from research.planning.options import STRONG
from research.planning.results import RunPlan
from research.records import freeze, require


def on_devices(
    experiment: Experiment,
    num_devices: int,
    base_devices: int,
    scaling: str,
    per_device_batch_size: int = 0,
) -> Experiment:
    """Returns the experiment as it would be run on so many devices.

    Args:
      experiment: as it was given.
      num_devices: devices of the slice.
      base_devices: devices of the slice that it was given for.
      scaling: `options.STRONG` leaves it as it is; `options.WEAK` holds what each
        part of the mesh's "data" axis has to do, training and evaluating, and
        lets it see as many examples as before.
      per_device_batch_size: examples of each part in a training step; 0 divides
        the experiment's batch over `base_devices`.

    Raises:
      UserError: if the devices can't share the batch evenly, or are too few.
    """
    for devices in (base_devices, num_devices):
        used = math.prod(experiment.mesh.sizes(devices).values())
        require(
            used == devices,
            "config.mesh.shape",
            f"{experiment.mesh.shape} uses {used} of {devices} devices; a slice is used whole",
        )
    if scaling == STRONG:
        _check(experiment.global_batch_size, experiment, num_devices, "config.global_batch_size")
        return experiment
    base_parts = experiment.mesh.sizes(base_devices)["data"]
    parts = experiment.mesh.sizes(num_devices)["data"]
    if not per_device_batch_size:
        try:
            _check(
                experiment.global_batch_size, experiment, base_devices, "config.global_batch_size"
            )
        except UserError as error:
            raise UserError(f"{error}, or give --per_device_batch_size") from error
        per_device_batch_size = experiment.global_batch_size // base_parts
    evaluated = experiment.evaluation.global_batch_size
    _check(evaluated, experiment, base_devices, "config.evaluation.global_batch_size")
    global_batch_size = per_device_batch_size * parts
    examples = experiment.steps * experiment.global_batch_size
    scaled = dataclasses.replace(
        experiment,
        global_batch_size=global_batch_size,
        steps=math.ceil(examples / global_batch_size),
        evaluation=dataclasses.replace(
            experiment.evaluation, global_batch_size=evaluated // base_parts * parts
        ),
    )
    freeze(scaled)
    return scaled


def _check(size: int, experiment: Experiment, num_devices: int, field: str) -> None:
    sizes = experiment.mesh.sizes(num_devices)
    check_divisible(size, AbstractMesh(tuple(sizes.values()), tuple(sizes)), field)


def steps_of(experiment: Experiment, data: Summary) -> tuple[Timetable, str]:
    """Returns the timetable, and what is wrong with it.

    A batch may be larger than the training split, as far as compiling goes; the
    timetable is then that of one which is not.
    """
    try:
        return timetable(experiment, data.train), ""
    except UserError as error:
        small = dataclasses.replace(experiment, global_batch_size=data.train)
        return timetable(small, data.train), str(error)


def run_plan(
    experiment: Experiment,
    data: Summary,
    train_seconds: float,
    eval_seconds: float,
    chips: int,
) -> RunPlan:
    """Returns what a whole run comes to: all its training and evaluation steps.

    Args:
      experiment: the experiment.
      data: what its data set is like.
      train_seconds, eval_seconds: of one step.
      chips: how many are paid for.

    Raises:
      UserError: if the batch is larger than the training split.
    """
    plan = timetable(experiment, data.train)
    evaluations = math.ceil(plan.total_steps / plan.evaluate_every)
    batch = experiment.evaluation.global_batch_size
    eval_steps = evaluations * math.ceil(data.validation / batch) + math.ceil(data.test / batch)
    if experiment.optimizer.ema_decay:
        eval_steps *= 2  # the parameters, and their average
    seconds = plan.total_steps * train_seconds + eval_steps * eval_seconds
    return RunPlan(plan.total_steps, eval_steps, seconds, seconds * chips / 3600)
