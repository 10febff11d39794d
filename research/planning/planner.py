"""Compiles an experiment for slices, and derives what it will do there."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import jax
import numpy as np

from research import workdir
from research.data.summary import Summary, stand_in
from research.errors import UserError, first_line
from research.experiment import Experiment
from research.planning import compiler, results, search
from research.planning.compiler import DoesNotCompile, DoesNotFit
from research.planning.flops import matmul_flops
from research.planning.interconnect import message_seconds
from research.planning.options import Options
from research.planning.results import Messages, Plan, SlicePlan, StepPlan
from research.planning.scaling import on_devices, run_plan, steps_of
from research.planning.timeline import Message, replay
from research.planning.topologies import Topology
from research.program import Program, make_program
from research.state import bytes_per_device, count_parameters

TRAIN, EVALUATE = "train step", "eval step"


def make_plan(
    experiment: Experiment,
    data: Summary,
    topologies: Sequence[Topology],
    options: Options,
    tell: Callable[[str], None],
) -> Plan:
    """Compiles an experiment's steps for each slice; to be called in `compiler.offline`.

    Args:
      experiment: a checked and frozen experiment.
      data: what its data set is like.
      topologies: the slices.
      options: how.
      tell: shown what has been done, a line at a time.

    Raises:
      UserError: if the experiment can't be scaled from the smallest slice, or
        its model can't take the inputs.
    """
    base = min(topology.num_devices for topology in topologies)
    slices, parameters, errors = [], 0, []
    for topology in topologies:
        try:
            scaled = on_devices(
                experiment,
                topology.num_devices,
                base,
                options.scaling,
                options.per_device_batch_size,
            )
            planner = _Planner(scaled, data, topology, options, tell)
        except UserError as error:
            errors.append(error)
            tell(f"{topology.name}: {error}")
            slices.append(_unplaced(topology, experiment, str(error)))
            continue
        slices.append(planner.plan())
        parameters = count_parameters(planner.program.state_shapes)
    if len(errors) == len(topologies):
        raise errors[0]
    return Plan(
        experiment=experiment.name,
        model=experiment.model.name,
        parameters=parameters,
        epochs=experiment.steps * experiment.global_batch_size / data.train or experiment.epochs,
        data=data,
        data_name=experiment.data.name,
        scaling=options.scaling,
        slices=tuple(slices),
        versions=workdir.versions(),
    )


def _unplaced(topology: Topology, experiment: Experiment, reason: str) -> SlicePlan:
    return SlicePlan(
        topology=topology,
        mesh={},
        mode=experiment.mesh.mode,
        global_batch_size=experiment.global_batch_size,
        per_device_batch_size=0,
        status=results.UNPLACED,
        reason=reason,
    )


class _Planner:
    """Plans one slice."""

    def __init__(
        self,
        experiment: Experiment,
        data: Summary,
        topology: Topology,
        options: Options,
        tell: Callable[[str], None],
    ):
        self._experiment = experiment
        self._data = data
        self._topology = topology
        self._options = options
        self._tell = lambda text: tell(f"{topology.name}: {text}")
        # pmap maps over devices of its own host.
        devices = compiler.devices(topology, one_host=experiment.mesh.mode == "pmap")
        self._available = compiler.available_memory(devices[0]) or (
            topology.chip.hbm_bytes / topology.chip.devices
        )
        plan, self._too_large = steps_of(experiment, data)
        self.program: Program = make_program(experiment, plan, stand_in(data), devices)
        self._parts = self.program.mesh.shape["data"]

    def plan(self) -> SlicePlan:
        """Compiles both steps and searches the largest batch."""
        experiment, batch = self._experiment, self._experiment.global_batch_size
        found = SlicePlan(
            topology=self._topology,
            mesh=dict(self.program.mesh.shape),
            mode=experiment.mesh.mode,
            global_batch_size=batch,
            per_device_batch_size=batch // self._parts,
            status=results.FITS,
            available_memory=self._available,
            notes=(f"no such run: {self._too_large}",) if self._too_large else (),
        )
        sizes = {TRAIN: batch, EVALUATE: experiment.evaluation.global_batch_size}
        for step, field in ((TRAIN, "train"), (EVALUATE, "evaluate")):
            try:
                found = dataclasses.replace(found, **{field: self._compile(step, sizes[step])})
            except DoesNotCompile as error:
                reason = f"{step}: {first_line(error)}"
                if not isinstance(error, DoesNotFit):
                    return dataclasses.replace(found, status=results.REFUSED, reason=reason)
                found = dataclasses.replace(found, status=results.TOO_LARGE, reason=reason)
                break
        if found.status == results.FITS and not self._too_large:
            times = found.train.seconds, found.evaluate.seconds
            run = run_plan(experiment, self._data, *times, self._topology.num_chips)
            found = dataclasses.replace(found, run=run)
        if not self._options.search_batch:
            return found
        most = max(1, self._data.train // self._parts)
        largest = self._largest(found, most)
        return dataclasses.replace(found, largest=largest, limited_by_data=largest.fits >= most)

    def _largest(self, found: SlicePlan, most: int) -> search.Found:
        def memory_of(size: int) -> float:
            if size == found.per_device_batch_size and found.train:
                return found.train.memory.total
            lowered = self._traced(TRAIN, size * self._parts).lower()
            try:
                executable = compiler.compile_lowered(lowered)
            except DoesNotFit:
                self._tell(f"{size:,} examples a device do not fit")
                raise
            self._tell(f"{size:,} examples a device fit ({executable.seconds:.1f} s)")
            return executable.memory.total

        fixed = bytes_per_device(self.program.state_shapes)
        start = found.per_device_batch_size
        return search.largest(memory_of, self._available, fixed, start, max(most, start))

    def _traced(self, step: str, global_batch_size: int):
        def shape(dtype, *dims):
            return jax.ShapeDtypeStruct(
                (global_batch_size, *dims), dtype, sharding=self.program.batch_sharding
            )

        batch = {
            "input": shape(self._data.input_dtype, *self._data.input_shape),
            "label": shape(np.int32),
        }
        if step == TRAIN:
            return self.program.train_step.trace(self.program.state_shapes, batch)
        batch["mask"] = shape(np.bool_)
        return self.program.eval_step.trace(self.program.state_shapes, batch)

    def _compile(self, step: str, global_batch_size: int) -> StepPlan:
        traced = self._traced(step, global_batch_size)
        executable = compiler.compile_lowered(traced.lower())
        self._tell(f"{step} compiled in {executable.seconds:.1f} s")
        chip, mesh = self._topology.chip, self.program.mesh
        coordinates = np.array([device.coords for device in mesh.devices.flat])
        bandwidth = chip.hbm_bandwidth / chip.devices
        line = replay(
            executable.module,
            mesh.size,
            chip.clock,
            bandwidth,
            lambda message: message_seconds(message, self._topology, coordinates),
        )
        flops = matmul_flops(traced.jaxpr)
        compute_bound = flops / mesh.size / (chip.peak_flops / chip.devices)
        return StepPlan(
            global_batch_size=global_batch_size,
            compile_seconds=executable.seconds,
            memory=executable.memory,
            model_flops=flops,
            executed_flops=executable.flops,
            bytes_accessed=executable.bytes_accessed,
            hbm_bytes=line.hbm_bytes,
            cycles=line.cycles,
            kernels=line.kernels,
            unpriced=line.unpriced,
            messages_exposed=line.messages_exposed,
            copies_exposed=line.copies_exposed,
            unpriced_opcodes=dict(line.unpriced_opcodes),
            unknown_loops=line.unknown_loops,
            compute_bound=compute_bound,
            memory_bound=line.hbm_bytes / bandwidth,
            interconnect_bound=sum(m.count * m.seconds for m in line.messages),
            mfu=compute_bound / line.seconds if line.seconds else 0.0,
            messages=_grouped(line.messages, dict(mesh.shape)),
        )


def _grouped(messages: Sequence[Message], mesh_shape: dict[str, int]) -> tuple[Messages, ...]:
    """Adds up messages that differ in nothing but their arrays, the heaviest first."""
    groups = defaultdict(list)
    for message in messages:
        sent = message.collective
        axes = sent.axes(mesh_shape)
        groups[sent.kind, axes, sent.group_size, message.is_async].append(message)
    found = [
        Messages(
            *key,
            count=sum(m.count for m in members),
            bytes=sum(m.count * m.collective.bytes for m in members),
            seconds=math.fsum(m.count * m.seconds for m in members),
        )
        for key, members in groups.items()
    ]
    return tuple(sorted(found, key=lambda group: -group.seconds))
