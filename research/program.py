"""The steps of an experiment, placed on the devices and compiled."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from research import batch_axis
from research import mesh as meshes
from research.data.arrays import cache_root
from research.data.feeds import Feed, Source
from research.data.splits import Dataset
from research.experiment import Experiment, Timetable
from research.records import require
from research.sharding import gathered, state_shardings, with_shardings
from research.state import TrainState, is_finite, normalization
from research.steps import Batch, Steps, make_steps

Metrics = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Program:
    """What a run calls, and where its arrays live.

    Attributes:
      mesh: the devices.
      batch_sharding: how batches are divided over them.
      metrics_sharding: how the metrics of a step are.
      state_shapes: the state as `jax.ShapeDtypeStruct` with shardings.
      init: () -> the state before the first step, on the devices.
      many_steps: feed -> (state, source) -> (state, metrics); see `train_steps`.
      eval_step: (state, batch) -> sums.
      is_finite: state -> whether each of its arrays is sound, bool [leaves].
      blocks: how many parts of its state a device trains one after another.
    """

    mesh: jax.sharding.Mesh
    batch_sharding: jax.sharding.Sharding
    metrics_sharding: NamedSharding
    state_shapes: Any
    init: Callable[[], TrainState]
    many_steps: Callable[[Feed], Callable[[TrainState, Source], tuple[TrainState, Metrics]]]
    eval_step: Callable[[TrainState, Batch], dict[str, jax.Array]]
    is_finite: Callable[[TrainState], jax.Array]
    blocks: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleProgram(Program):
    """The program of one model, of which a single step can be had.

    Attributes:
      train_step: (state, batch) -> (state, metrics); the state given is donated.
    """

    train_step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def make_program(
    experiment: Experiment,
    timetable: Timetable,
    dataset: Dataset,
    devices: Sequence[jax.Device] | None = None,
) -> SingleProgram:
    """Places and jits the experiment's steps; nothing is compiled yet.

    Args:
      experiment: says what the steps do, and how they are placed.
      timetable: when they log.
      dataset: gives shapes and statistics; no example is read.
      devices: those to use; all of this machine unless given. They may be those
        of a topology that isn't there, to compile for it.

    Raises:
      UserError: if the model can't take the inputs, there are too few devices,
        or they can't share a batch evenly.
    """
    mesh = meshes.make_mesh(experiment.mesh, devices)
    meshes.check_divisible(experiment.global_batch_size, mesh, "config.global_batch_size")
    meshes.check_divisible(
        experiment.evaluation.global_batch_size, mesh, "config.evaluation.global_batch_size"
    )
    fsdp = experiment.mesh.mode == "fsdp"
    in_use = functools.partial(gathered, mesh) if fsdp else lambda params: params
    steps = steps_of(experiment, timetable, dataset, in_use)
    shapes = jax.eval_shape(steps.init)
    shardings = state_shardings(mesh, shapes, fsdp)
    replicated = NamedSharding(mesh, PartitionSpec())
    train_step = steps.train_step
    if experiment.mesh.mode == "pmap":
        require(
            jax.process_count() == 1,
            "config.mesh.mode",
            "pmap runs in one process; dp does the same over several",
        )
        train_step = _mapped(train_step, mesh)
    train_step = jax.jit(train_step, donate_argnums=0, out_shardings=(shardings, replicated))
    return SingleProgram(
        mesh=mesh,
        batch_sharding=meshes.batch_sharding(mesh),
        metrics_sharding=replicated,
        state_shapes=with_shardings(shapes, shardings),
        init=jax.jit(steps.init, out_shardings=shardings),
        train_step=train_step,
        many_steps=functools.partial(repeated, train_step),
        eval_step=jax.jit(steps.eval_step, out_shardings=replicated),
        is_finite=jax.jit(is_finite, out_shardings=replicated),
    )


def steps_of(
    experiment: Experiment,
    timetable: Timetable,
    dataset: Dataset,
    in_use: Callable[[Any], Any] = lambda params: params,
) -> Steps:
    """Returns the pure functions of an experiment on its data; see `make_steps`."""
    return make_steps(
        experiment,
        timetable,
        dataset.input_shape,
        len(dataset.class_names),
        normalization(dataset),
        dataset.class_weights,
        in_use,
        functools.partial(experiment.model.from_data, dataset),
    )


def _mapped(train_step: Callable, mesh: jax.sharding.Mesh) -> Callable:
    """Lets each device run the step on its part of the batch, as `jax.pmap` does.

    State and metrics keep the shapes that they have otherwise: they are the
    same on all devices.
    """
    parts = mesh.shape[batch_axis.NAME]
    mapped = jax.pmap(
        train_step,
        axis_name=batch_axis.NAME,
        in_axes=(None, 0),
        out_axes=None,
        devices=list(mesh.devices.flat),
    )
    return lambda state, batch: mapped(
        state, jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), batch)
    )


@dataclasses.dataclass(frozen=True)
class Compiled:
    """Many training steps compiled as one program, and what that took.

    Attributes:
      call: (state, source) -> (state, metrics); see `train_steps`.
      seconds: from tracing to the finished executable.
      cache_hit: whether the executable came from the compilation cache.
      flops: floating-point operations of one step on a device, as XLA counts them.
    """

    call: Callable[[TrainState, Source], tuple[TrainState, Metrics]]
    seconds: float
    cache_hit: bool
    flops: float


def train_steps(program: Program, feed: Feed) -> Callable:
    """Returns a program of many training steps: (state, source) -> (state, metrics).

    How many they are is an argument, not a constant: all numbers of steps share one
    compiled loop, so that a run gives the same bits however its steps are grouped.

    The source is what the feed hands over; the state given is donated. Metrics are
    those of `Steps.train_step`, each with one value a step: [feed.capacity], of which
    those of the steps that the source has count.
    """

    of_all_steps = NamedSharding(program.mesh, PartitionSpec(None, *program.metrics_sharding.spec))
    shardings = jax.tree.map(lambda shape: shape.sharding, program.state_shapes)
    run = program.many_steps(feed)
    return jax.jit(run, donate_argnums=0, out_shardings=(shardings, of_all_steps))


def repeated(train_step: Callable, feed: Feed) -> Callable:
    """Returns the loop over training steps alone; see `train_steps`.

    Args:
      train_step: (state, batch) -> (state, metrics).
      feed: gives the batches.
    """

    def run(state, source):
        def advance(index, carry):
            state, metrics = carry
            state, values = train_step(state, feed.batch(source, index))
            return state, jax.tree.map(lambda all, one: all.at[index].set(one), metrics, values)

        _, values = jax.eval_shape(train_step, state, feed.batch(source, 0))
        empty = jax.tree.map(
            lambda value: jnp.zeros((feed.capacity, *value.shape), value.dtype), values
        )
        return jax.lax.fori_loop(0, source["steps"], advance, (state, empty))

    return run


def compile_train_steps(program: Program, feed: Feed, source: Source) -> Compiled:
    """Compiles the program of many training steps for sources like the given one."""
    hits = []

    def listen(event: str, **_):
        if event == "/jax/compilation_cache/cache_hits":
            hits.append(event)

    jax.monitoring.register_event_listener(listen)
    start = time.perf_counter()
    compiled = train_steps(program, feed).lower(program.state_shapes, source).compile()
    seconds = time.perf_counter() - start
    jax.monitoring.unregister_event_listener(listen)
    # XLA counts what stands in a loop once.
    flops = (compiled.cost_analysis() or {}).get("flops", 0.0) * program.blocks
    return Compiled(compiled, seconds, bool(hits), flops)


def enable_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache directory from now on."""
    jax.config.update("jax_compilation_cache_dir", str(cache_root() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
