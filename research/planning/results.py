"""What a plan says, as values: what was compiled, measured and derived."""

import dataclasses
import math
from typing import Any

from research.data.summary import Summary
from research.planning.compiler import Memory
from research.planning.search import Found
from research.planning.topologies import Topology

FITS, TOO_LARGE, REFUSED, UNPLACED = "fits", "does not fit", "does not compile", "cannot be placed"
"""What may become of a slice. `UNPLACED`: its devices can't share batch and state so."""


@dataclasses.dataclass(frozen=True)
class Messages:
    """Collectives of one kind along the same mesh axes.

    Attributes:
      kind: such as "all-reduce".
      axes: mesh axes along which they are sent.
      group_size: devices that exchange with each other.
      is_async: whether the device may compute meanwhile.
      count: how many a step sends.
      bytes: of all of them together; see `collectives.Collective.bytes`.
      seconds: bound of all of them together.
    """

    kind: str
    axes: tuple[str, ...]
    group_size: int
    is_async: bool
    count: int
    bytes: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class StepPlan:
    """One compiled step, on one of the devices that run it together.

    Attributes:
      global_batch_size: examples of the step, over all devices.
      compile_seconds: what compiling took.
      memory: bytes that it takes.
      model_flops: operations that the model asks for, of all devices together.
      executed_flops: operations that the compiled program makes, as XLA counts.
      bytes_accessed: bytes read and written anywhere, as XLA counts.
      hbm_bytes: bytes read from and written to the chip's main memory.
      cycles: the compiler's estimate of all that it makes one for.
      kernels, unpriced, messages_exposed, copies_exposed: seconds; see `Timeline`.
      unpriced_opcodes: opcode -> how many instructions have no estimate.
      unknown_loops: loops that count once because their length isn't known.
      compute_bound, memory_bound, interconnect_bound: seconds that the data
        sheet allows no step to beat.
      mfu: share of the peak that the estimated time amounts to.
      messages: collectives, by kind and axes.
    """

    global_batch_size: int
    compile_seconds: float
    memory: Memory
    model_flops: float
    executed_flops: float
    bytes_accessed: float
    hbm_bytes: float
    cycles: int
    kernels: float
    unpriced: float
    messages_exposed: float
    copies_exposed: float
    unpriced_opcodes: dict[str, int]
    unknown_loops: int
    compute_bound: float
    memory_bound: float
    interconnect_bound: float
    mfu: float
    messages: tuple[Messages, ...]

    @property
    def seconds(self) -> float:
        """Estimated time of the step."""
        return self.kernels + self.unpriced + self.messages_exposed + self.copies_exposed


@dataclasses.dataclass(frozen=True)
class RunPlan:
    """The whole experiment.

    Attributes:
      train_steps: steps of training.
      eval_steps: evaluation steps: validation while training, test at the end.
      seconds: estimated time of all of them, nothing else.
      chip_hours: the same times the chips of the slice.
    """

    train_steps: int
    eval_steps: int
    seconds: float
    chip_hours: float


@dataclasses.dataclass(frozen=True)
class SlicePlan:
    """What becomes of the experiment on a slice; None stands for what isn't known.

    Attributes:
      topology: the slice.
      mesh: mesh axis -> its size.
      mode: how the state is divided.
      global_batch_size: examples of a training step, over all devices.
      per_device_batch_size: examples for each part along the "data" axis.
      status: one of `FITS`, `TOO_LARGE`, `REFUSED` and `UNPLACED`.
      reason: the compiler's words, or whose else they are, "" where it fits.
      available_memory: bytes that the compiler lets a program have on a device.
      train, evaluate: the steps.
      largest: the largest per-device batch that fits.
      limited_by_data: whether `largest` is the whole training split.
      run: the whole experiment.
      notes: what else a reader should know.
    """

    topology: Topology
    mesh: dict[str, int]
    mode: str
    global_batch_size: int
    per_device_batch_size: int
    status: str
    reason: str = ""
    available_memory: float | None = None
    train: StepPlan | None = None
    evaluate: StepPlan | None = None
    largest: Found | None = None
    limited_by_data: bool = False
    run: RunPlan | None = None
    notes: tuple[str, ...] = ()

    @property
    def num_devices(self) -> int:
        """Devices in the mesh; a slice may have more."""
        return math.prod(self.mesh.values())

    @property
    def examples_per_second(self) -> float | None:
        """Estimated pace of training."""
        return self.train and self.global_batch_size / self.train.seconds


@dataclasses.dataclass(frozen=True)
class Plan:
    """A plan of an experiment for some slices.

    Attributes:
      experiment: its name.
      model: the model's name.
      parameters: trained parameters.
      epochs: passes over the training split.
      data: what the data set is like.
      data_name: its name.
      scaling: "weak" or "strong".
      slices: one for each topology, in the order in which they were given.
      versions: of the software that compiled.
    """

    experiment: str
    model: str
    parameters: int
    epochs: float
    data: Summary
    data_name: str
    scaling: str
    slices: tuple[SlicePlan, ...]
    versions: dict[str, Any]

    def efficiency(self, slice_plan: SlicePlan) -> float | None:
        """Returns a slice's pace per chip, relative to the smallest of the same chips."""
        same = [s for s in self.slices if s.topology.chip == slice_plan.topology.chip and s.train]
        if not slice_plan.train or not same:
            return None
        first = min(same, key=lambda s: s.topology.num_chips)
        per_chip = [s.examples_per_second / s.topology.num_chips for s in (slice_plan, first)]
        return per_chip[0] / per_chip[1]
