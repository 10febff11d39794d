"""The steps of all replicas as one program, and which fields may differ among them."""

import functools
import math
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from research.data.splits import Dataset
from research.errors import UserError
from research.experiment import Experiment, Timetable
from research.population.blocks import block_size, in_blocks
from research.population.feed import PopulationFeed
from research.population.members import members, with_values
from research.program import Program, repeated, steps_of
from research.records import paths
from research.run_options import Mesh
from research.sharding import with_shardings
from research.state import bytes_per_device, is_finite

AXIS = "replica"
"""The mesh axis that replicas are divided along; along "data" batches would be."""

_EACH, _WHOLE = PartitionSpec(AXIS), PartitionSpec()


def make_population_program(
    experiment: Experiment, timetable: Timetable, dataset: Dataset
) -> Program:
    """Places and jits the steps of a population; nothing is compiled yet.

    As `research.program.make_program`, but states and batches have replicas along
    their first axis, which is divided over the devices, and so have metrics. The
    batches of evaluation are shared by all.

    Raises:
      UserError: if the replicas don't share one program.
    """
    replicas = members(experiment)
    mesh = _mesh(experiment, len(replicas))
    swept = experiment.population.points()[0].keys()
    _check_swept(experiment, replicas[0], timetable, dataset)
    # In float32, as numbers of an experiment are when they meet an array.
    values = {path: np.float32([_value(each, path) for each in replicas]) for path in swept}
    seeds = np.uint32([each.seed for each in replicas])

    def steps(values, seed=None):
        alone = replicas[0] if seed is None else with_values(replicas[0], {"seed": seed})
        return steps_of(with_values(alone, values), timetable, dataset)

    def init(seed, values):
        return steps(values, seed).init()

    def train_step(values, state, batch):
        return steps(values).train_step(state, batch)

    def all_init():
        return jax.vmap(init)(seeds, values)

    divided = NamedSharding(mesh, _EACH)
    whole = NamedSharding(mesh, _WHOLE)
    shapes = jax.eval_shape(all_init)
    shardings = jax.tree.map(lambda shape: divided, shapes)
    state_shapes = with_shardings(shapes, shardings)
    of_device = len(replicas) // mesh.size
    size = block_size(
        experiment.population.at_once,
        of_device,
        bytes_per_device(state_shapes) // of_device,
        mesh.devices.flat[0].platform,
    )
    eval_step = _apart(
        mesh,
        jax.vmap(steps({}).eval_step, in_axes=(0, None)),
        in_specs=(_EACH, _WHOLE),
        out_specs=_EACH,
    )
    return Program(
        mesh=mesh,
        batch_sharding=whole,
        metrics_sharding=divided,
        state_shapes=state_shapes,
        init=jax.jit(all_init, out_shardings=shardings),
        many_steps=functools.partial(_many_steps, train_step, values, mesh, size),
        eval_step=jax.jit(eval_step, out_shardings=whole),
        is_finite=jax.jit(jax.vmap(is_finite), out_shardings=whole),
        blocks=of_device // size,
    )


def _many_steps(
    train_step: Callable,
    values: dict[str, np.ndarray],
    mesh: jax.sharding.Mesh,
    size: int,
    feed: PopulationFeed,
) -> Callable:
    """Returns (state, source) -> (state, metrics), block by block on each device.

    Args:
      train_step: (values, state, batch) -> (state, metrics) of one replica.
      values: the swept numbers, float32 [replicas] by the field's path.
      mesh: the devices.
      size: how many replicas a block has.
      feed: gives the batches.
    """

    steps = jax.jit(jax.vmap(train_step))  # traced once, however often it is called

    def block(shared, state, positions, values):
        step = functools.partial(steps, values)
        return repeated(step, feed)(state, {**shared, "positions": positions})

    def blocks(shared, *of_each):
        return in_blocks(functools.partial(block, shared), size, *of_each)

    def run(state, source):
        shared = {name: part for name, part in source.items() if name != "positions"}
        every_block = _apart(
            mesh,
            blocks,
            in_specs=(_WHOLE, _EACH, _EACH, _EACH),
            out_specs=(_EACH, PartitionSpec(None, AXIS)),
        )
        return every_block(shared, state, source["positions"], values)

    return run


def _apart(mesh: jax.sharding.Mesh, function: Callable, **specs) -> Callable:
    """Lets each device have replicas of its own: nothing is sent between them."""
    return jax.shard_map(function, mesh=mesh, check_vma=False, **specs)


def _mesh(experiment: Experiment, replicas: int) -> jax.sharding.Mesh:
    """Returns as many devices as share the replicas evenly."""
    if experiment.mesh != Mesh():
        raise UserError(
            "config.mesh: replicas of a population are divided over the devices, each of them "
            "whole; leave out config.mesh"
        )
    if jax.process_count() > 1:
        raise UserError("a population is trained by one process")
    devices = jax.devices()
    return jax.sharding.Mesh(devices[: math.gcd(replicas, len(devices))], (AXIS,))


def _check_swept(
    experiment: Experiment, replica: Experiment, timetable: Timetable, dataset: Dataset
) -> None:
    """Raises `UserError`, with what can be swept, unless all fields that are can be."""
    points = experiment.population.points()
    can = functools.partial(_can_differ, replica, timetable, dataset)
    if wrong := [path for path in points[0] if not can(path)]:
        every = [path for path, field in paths(replica) if field.type is float]
        raise UserError(
            f"config.population.sweep: {wrong[0]!r} decides the form of the program, which all "
            f"replicas share. Of this experiment can be swept: {', '.join(filter(can, every))}"
        )
    for path in points[0]:
        zero = [point[path] == 0 for point in points]
        if any(zero) and not all(zero):
            raise UserError(
                f"config.population.sweep: {path} is 0 in some replicas, which turns off what "
                "others have; sweep values that are not 0, and run 0 for itself"
            )


def _can_differ(replica: Experiment, timetable: Timetable, dataset: Dataset, path: str) -> bool:
    """Whether the value of a field may be an argument of the step."""

    def step(value):
        steps = steps_of(with_values(replica, {path: value}), timetable, dataset)
        state = steps.init()
        batch = dataset.train.gather(np.zeros(replica.global_batch_size, int))
        return steps.train_step(state, batch)

    try:
        used = jax.make_jaxpr(step)(np.float32(_value(replica, path) or 0.5)).jaxpr
    except (TypeError, ValueError, UserError):  # of what must be known when it is traced
        return False
    names = {id(variable) for equation in used.eqns for variable in equation.invars}
    return id(used.invars[0]) in names


def _value(experiment: Experiment, path: str) -> float:
    return functools.reduce(getattr, path.split("."), experiment)
