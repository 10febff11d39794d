"""Several processes that train as one, over JAX's own runtime.

Each process owns some of the devices and all run the same program. What must
not differ between them (whose the work directory is, which checkpoint is taken,
when to stop) is decided by the first and heard by all; every wait is bounded
and says who is missing.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.experimental import multihost_utils
from orbax.checkpoint import multihost

from research import remote
from research.errors import LostProcessError, SilentProcessError, UserError, first_line
from research.workdir import open_workdir

PATIENCE = 300.0
"""Seconds that a process waits for the others before it gives up."""

ROLL_CALL = 10.0
"""Seconds within which a process that is there answers to its name."""

GRACE = 5.0
"""Seconds that the first process stays after an error, unless all others have left before."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """How the processes of a run find each other.

    Attributes:
      coordinator: "host:port" of the first process; "" lets JAX ask the
        environment (Cloud TPU, GKE, Slurm, Open MPI).
      count: number of processes; 0 with no coordinator.
      index: which of them this is.
      patience: seconds to wait for the others to join.
      heartbeat: seconds of silence after which a process counts as lost, and
        the others end.
    """

    coordinator: str = ""
    count: int = 0
    index: int = 0
    patience: float = PATIENCE
    heartbeat: float = 60.0


def join(cluster: Cluster, workdir: str) -> None:
    """Connects this process with the others; to be called before JAX is used.

    Args:
      cluster: who they are.
      workdir: the work directory, which all of them see; each signs there, so
        that the others can say who is missing.

    Raises:
      UserError: if they don't all come in time, with those that haven't, or
        the environment does not say who they are.
    """
    roll = open_workdir(workdir).roll
    # From now on SIGTERM is JAX's: its preemption service lets all processes
    # stop after the same step.
    jax.config.update("jax_enable_preemption_service", True)
    given = {}
    if cluster.coordinator:
        given = {
            "coordinator_address": cluster.coordinator,
            "num_processes": cluster.count,
            "process_id": cluster.index,
        }
    failures: list[Exception] = []

    def connect():
        try:
            jax.distributed.initialize(
                **given,
                # When JAX's own patience is at its end it ends the process.
                initialization_timeout=int(cluster.patience) + 3600,
                heartbeat_timeout_seconds=int(cluster.heartbeat),
            )
        except Exception as error:  # handed over to the caller's thread
            failures.append(error)

    connecting = threading.Thread(target=connect, daemon=True)
    connecting.start()
    deadline = time.monotonic() + cluster.patience
    while connecting.is_alive() and time.monotonic() < deadline:
        if cluster.coordinator:
            _sign(roll, cluster.index)
        connecting.join(1.0)
    if connecting.is_alive():
        raise LostProcessError(
            f"not all processes joined the run within {cluster.patience:.0f} s"
            f"{_missing(roll, cluster)}. Start all of them with the same command, but for "
            f"--process_id, and see that they reach {cluster.coordinator or 'each other'}"
        )
    if failures:
        raise UserError(
            f"the processes of the run can't be connected: {first_line(failures[0])}\n"
            "Where the environment does not say who they are, give --coordinator, "
            "--num_processes and --process_id"
        )


def is_first() -> bool:
    """Whether this is the process that decides, writes metrics and speaks."""
    return jax.process_index() == 0


def decided(decide: Callable[[], Any]) -> Any:
    """Returns to all processes what the first decides; all must call it.

    Args:
      decide: called by the first process alone; returns a JSON value.

    Raises:
      UserError: what `decide` raised, in all processes.
      LostProcessError: if the first does not decide in time.
    """
    if jax.process_count() == 1:
        return decide()
    key = f"hanok/decided/{next(_questions)}"
    if is_first():
        try:
            value = decide()
        except UserError as error:
            _tell(key, {"error": str(error)})
            raise
        _tell(key, {"value": value})
        return value
    answer = _hear(key, 0)
    if "error" in answer:
        raise UserError(answer["error"])
    return answer["value"]


def check_same(what: str, value: Any) -> None:
    """Raises `UserError` in all processes unless a JSON value is the same in all.

    Args:
      what: names the value in the message.
      value: this process's.
    """
    if jax.process_count() == 1:
        return
    key = f"hanok/same/{next(_questions)}"
    _tell(f"{key}/{jax.process_index()}", value)
    values = [_hear(f"{key}/{index}", index) for index in range(jax.process_count())]
    if others := [str(index) for index, other in enumerate(values) if other != values[0]]:
        raise UserError(
            f"{what} of process {', '.join(others)} differs from that of process 0. Start all "
            "processes with the same command, but for --process_id, on the same data and code"
        )


@contextlib.contextmanager
def parting_words() -> Iterator[None]:
    """Lets the others know what ended this process, where an error ends the block.

    Whoever leaves this way has to end at once: others may wait for it, and would
    be waited for.

    Raises:
      LostProcessError: in place of JAX's own error where another process has
        ended, with what it said.
    """
    try:
        yield
    except Exception as error:
        if jax.process_count() == 1:
            raise
        is_of_jax = isinstance(error, jax.errors.JaxRuntimeError)
        cause = (_call_the_roll(error) if is_of_jax else None) or error
        _leave(cause)
        if cause is error:
            raise
        raise cause from error


def check_present() -> None:
    """Raises `LostProcessError` if another process has left with an error."""
    if jax.process_count() > 1:
        for index in range(jax.process_count()):
            _check_present(index)


def meet(*, key: str, timeout_ms: int) -> None:
    """Barrier for the threads of Orbax; who comes with an exception goes on with it at once.

    Else the process whose disk is full would wait for all others before it says so.
    """
    if failure := sys.exception():
        raise failure
    multihost.get_barrier_sync_fn()(key=key, timeout_ms=timeout_ms)


class StopTogether:
    """Asks whether a run is to stop, so that all processes stop after the same step."""

    def __init__(self, requested: Callable[[], str]):
        """`requested` says why this process is asked to stop, "" if it isn't."""
        self._requested = requested
        self._passed_on = False
        self._times_asked = itertools.count()

    def __call__(self) -> str:
        """Returns why the run is to stop now, or ""; all processes ask equally often."""
        reason = self._requested()
        if jax.process_count() == 1:
            return reason
        if reason and not self._passed_on:
            # Whatever the reason, JAX's preemption service agrees on the step.
            os.kill(os.getpid(), signal.SIGTERM)
            self._passed_on = True
        # JAX counts in steps of one.
        asked = next(self._times_asked)
        return "SIGTERM" if multihost_utils.reached_preemption_sync_point(asked) else ""


_questions = itertools.count()
"""All processes ask the same questions in the same order."""

_LAST_WORD = "hanok/left/{}"


def _tell(key: str, value: Any) -> None:
    multihost.get_jax_distributed_client().key_value_set(key, json.dumps(value))


def _hear(key: str, speaker: int, patience: float = PATIENCE) -> Any:
    """Returns what a process tells; looks every second whether it has left instead."""
    client = multihost.get_jax_distributed_client()
    deadline = time.monotonic() + patience
    while True:
        try:
            return json.loads(client.blocking_key_value_get(key, 1000))
        except jax.errors.JaxRuntimeError as error:
            _check_present(speaker)
            if time.monotonic() > deadline or "DEADLINE_EXCEEDED" not in str(error):
                raise SilentProcessError(
                    f"process {speaker} of {jax.process_count()} did not answer within "
                    f"{patience:.0f} s ({first_line(error)})"
                ) from error


def _call_the_roll(error: Exception) -> LostProcessError | None:
    """Returns an error that names a process that is not there any more, if one isn't."""
    me, count = jax.process_index(), jax.process_count()
    try:
        _tell(f"hanok/present/{me}", True)
        for index in range(count):
            _hear(f"hanok/present/{index}", index, ROLL_CALL)
    except SilentProcessError as silence:
        return LostProcessError(
            f"{first_line(silence)}, and here {first_line(error)}\nThe same command on all of "
            "them goes on from the last complete checkpoint"
        )
    except LostProcessError as word:
        return word
    return None


def _leave(error: Exception) -> None:
    """Tells the others why this process ends; the first hears them out."""
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # nobody hears it, or answers
        _tell(_LAST_WORD.format(jax.process_index()), f"{kind}{first_line(error)}")
        if is_first():
            # Without the first, none can speak to another.
            deadline = time.monotonic() + GRACE
            for index in range(1, jax.process_count()):
                patience = max(0.0, deadline - time.monotonic())
                multihost.get_jax_distributed_client().blocking_key_value_get(
                    _LAST_WORD.format(index), int(1000 * patience)
                )


def _check_present(index: int) -> None:
    """Raises `LostProcessError` with what a process said when it ended, if it has."""
    client = multihost.get_jax_distributed_client()
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # it has not said anything
        word = json.loads(client.key_value_try_get(_LAST_WORD.format(index)))
        raise LostProcessError(f"process {index} of {jax.process_count()} ended: {word}")


def _sign(roll: remote.Path, index: int) -> None:
    roll.mkdir(exist_ok=True)
    (roll / str(index)).write_text(f"{os.getpid()} on {socket.gethostname()}\n")


def _missing(roll: remote.Path, cluster: Cluster) -> str:
    """Names the processes that have not signed lately: those that wait sign every second."""
    signed = {path.name: remote.written_at(path) for path in roll.glob("*")}
    latest = signed.get(str(cluster.index), 0.0) - 10
    absent = [str(i) for i in range(cluster.count) if signed.get(str(i), 0.0) < latest]
    return f"; missing: process {', '.join(absent)} of {cluster.count}" if absent else ""
