"""Several processes that train as one, over JAX's own runtime.

Each process owns some of the devices and all run the same program. What must
not differ between them (whose the work directory is, which checkpoint is taken,
when to stop) is decided by the first and heard by all; every wait is bounded
and says who is missing.
"""

import concurrent.futures
import contextlib
import itertools
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.experimental import multihost_utils
from orbax.checkpoint import multihost

from research.errors import LostProcessError, SilentProcessError, UserError, first_line

PATIENCE = 300.0
"""Seconds that a process waits for the others before it gives up."""

ROLL_CALL = 10.0
"""Seconds within which a process that is there answers to its name."""

GRACE = 30.0
"""Seconds that the first process stays after an error of its own, unless all others have
left before: they hear of it at the end of what they are at, such as compiling."""

GRACE_AFTER_LOSS = 5.0
"""The same where another one is lost, which would be waited for in vain."""


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


def attended(call: Callable[[], Any], patience: float = math.inf) -> concurrent.futures.Future:
    """Makes a call that may wait for other processes, and looks whether one has left.

    Args:
      call: made in a thread of its own: what waits for a device or a disk can't be
        interrupted.
      patience: seconds to wait for its end.

    Returns:
      The call's future, not done if it takes longer.

    Raises:
      LostProcessError: if another process has left with an error.
    """
    future: concurrent.futures.Future = concurrent.futures.Future()

    def run():
        try:
            future.set_result(call())
        except BaseException as error:  # handed over to the caller's thread
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    deadline = time.monotonic() + patience
    while not future.done() and time.monotonic() < deadline:
        concurrent.futures.wait([future], timeout=1.0)
        check_present()
    return future


def computed(arrays: Any) -> Any:
    """Returns a pytree of arrays once they are there; other processes may take part in them.

    Raises:
      LostProcessError: if another process has left with an error.
    """
    if jax.process_count() == 1:
        return jax.block_until_ready(arrays)
    return attended(lambda: jax.block_until_ready(arrays)).result()


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
            lost = isinstance(error, LostProcessError)
            deadline = time.monotonic() + (GRACE_AFTER_LOSS if lost else GRACE)
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
