"""The XLA compiler for TPUs, run where there is none.

`libtpu` compiles for any slice; it needs neither a TPU nor a network, but has
to be told so before it is loaded.
"""

import contextlib
import dataclasses
import importlib.util
import os
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

from research.errors import UserError, first_line
from research.planning import hlo
from research.planning.topologies import Topology

_OFFLINE = {
    "TPU_SKIP_MDS_QUERY": "1",  # asks no metadata server, which would take minutes
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",  # else it complains; topologies are given by name
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # else a lock file lets one process compile at a time
    "TPU_LOG_DIR": "disabled",  # else it writes files to /tmp/tpu_logs
    "TPU_STDERR_LOG_LEVEL": "3",
    "TPU_MIN_LOG_LEVEL": "3",
}

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}
_REQUIRED = re.compile(r"required for \D*\(([\d.]+)([KMGTP]?)\)|[Uu]sed ([\d.]+)([KMGTP]?) of")
_AVAILABLE = re.compile(
    r"available HBM \(([\d.]+)([KMGTP]?)\)|[Uu]sed [\d.]+[KMGTP]? of ([\d.]+)([KMGTP]?)"
)


class DoesNotCompile(Exception):
    """The compiler refuses a program; the message is its reason."""


class DoesNotFit(DoesNotCompile):
    """A program needs more memory than the chip has.

    Attributes:
      required: bytes that it needs, None if the compiler doesn't say.
      available: bytes that there are, None if the compiler doesn't say.
    """

    def __init__(self, message: str):
        super().__init__(message)
        self.required = _size(_REQUIRED.search(message))
        self.available = _size(_AVAILABLE.search(message))


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes that a program takes of a device's memory.

    Attributes:
      arguments: of its arguments: state and batch.
      outputs: of its results.
      aliased: of the results that take the place of arguments.
      temporaries: of what it computes on the way.
      code: of its machine code.
    """

    arguments: int
    outputs: int
    aliased: int
    temporaries: int
    code: int

    @property
    def total(self) -> int:
        """The whole."""
        return self.arguments + self.outputs - self.aliased + self.temporaries + self.code


@dataclasses.dataclass(frozen=True)
class Executable:
    """A compiled program.

    Attributes:
      seconds: what compiling took.
      memory: what it takes of each device's memory.
      flops: floating-point operations of one device, as XLA counts them; what
        is in a loop counts once.
      bytes_accessed: bytes read and written, as XLA counts them, wherever they are.
      module: its instructions.
    """

    seconds: float
    memory: Memory
    flops: float
    bytes_accessed: float
    module: hlo.Module


def is_installed() -> bool:
    """Returns whether there is a compiler for TPUs."""
    return bool(importlib.util.find_spec("libtpu") or os.environ.get("TPU_LIBRARY_PATH"))


def check_installed() -> None:
    """Raises `UserError` unless there is a compiler for TPUs."""
    if not is_installed():
        raise UserError(
            "compiling for a TPU needs libtpu, which comes with an extra:\n"
            "  pip install 'hanok[plan]'     (in a checkout: pip install -e '.[plan]')"
        )


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Lets libtpu be loaded without looking for a TPU or a network.

    What JAX computes itself it does on the CPU. Compiled programs are kept out
    of the compilation cache, which can't read them back.
    """
    import jax

    before = {name: os.environ.get(name) for name in _OFFLINE}
    caching = jax.config.jax_enable_compilation_cache
    os.environ |= {name: before[name] or value for name, value in _OFFLINE.items()}
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", caching)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def devices(topology: Topology, one_host: bool = False) -> Sequence[Any]:
    """Returns the devices of a slice, to make a mesh of.

    Args:
      topology: the slice.
      one_host: whether all chips are to belong to one host; else it has as many
        hosts as are usual.

    Raises:
      UserError: if this version of the compiler doesn't know it.
    """
    from jax.experimental import topologies

    options = dict(topology.chip.libtpu_options)
    if one_host or topology.num_chips == 1:
        options["chips_per_host_bounds"] = (*topology.shape, 1)[:3]
    shape = topology.name.partition(":")[2]
    try:
        return topologies.get_topology_desc(
            topology_name=f"{topology.chip.libtpu_name}:{shape}", platform="tpu", **options
        ).devices
    except Exception as error:  # libtpu's status, or whatever failed in loading it
        raise UserError(
            f"--topology: the compiler can't make {topology.name}: {first_line(error)}"
        ) from error


def available_memory(device: Any) -> float | None:
    """Returns the bytes that the compiler lets a program have, None if it doesn't say.

    It says so when it refuses one that is too large for any chip.
    """
    import jax
    from jax.sharding import SingleDeviceSharding

    sharding = SingleDeviceSharding(device)
    huge = jax.ShapeDtypeStruct((2**44,), "float32", sharding=sharding)
    try:
        compile_lowered(jax.jit(lambda x: x + 1).lower(huge))
    except DoesNotFit as error:
        return error.available
    except DoesNotCompile:
        return None
    return None


def compile_lowered(lowered: Any) -> Executable:
    """Compiles a lowered program.

    Raises:
      DoesNotFit: if it needs more memory than there is.
      DoesNotCompile: if the compiler refuses it for another reason.
    """
    import jax

    start = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        message = str(error)
        kind = DoesNotFit if message.startswith("RESOURCE_EXHAUSTED") else DoesNotCompile
        raise kind(message) from error
    seconds = time.perf_counter() - start
    stats = compiled.memory_analysis()
    cost = compiled.cost_analysis() or {}
    return Executable(
        seconds=seconds,
        memory=Memory(
            arguments=stats.argument_size_in_bytes,
            outputs=stats.output_size_in_bytes,
            aliased=stats.alias_size_in_bytes,
            temporaries=stats.temp_size_in_bytes,
            code=stats.generated_code_size_in_bytes,
        ),
        flops=cost.get("flops", 0.0),
        bytes_accessed=cost.get("bytes accessed", 0.0),
        module=hlo.parse(compiled.as_text()),
    )


def _size(match: re.Match | None) -> float | None:
    if match is None:
        return None
    number, unit = (group for group in match.groups() if group is not None)
    return float(number) * _UNITS[unit]
