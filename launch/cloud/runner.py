"""The one place of the launcher that runs commands and waits."""

import collections
import dataclasses
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable

from launch.cloud.commands import Step

TIMED_OUT = 124
"""Exit code of a command that took too long, as timeout(1) gives it."""

_LINES_KEPT = 20_000
_TICK_SECONDS = 0.2
_GRACE_SECONDS = 10


class Interrupted(Exception):
    """The launcher was asked to stop; the message says by what."""


@dataclasses.dataclass(frozen=True)
class Finished:
    """How a command ended: its exit code, and the end of what it printed."""

    code: int
    output: str
    error: str


class Runner:
    """Runs commands, each within its time, and none once it was asked to stop."""

    def __init__(self, stop: Callable[[], str] = lambda: ""):
        """Asks `stop` why to stop; "" if not to."""
        self._stop = stop

    def ignore_stop(self) -> None:
        """From here on runs what has to be run before leaving."""
        self._stop = lambda: ""

    def pause(self, seconds: float) -> None:
        """Waits.

        Raises:
          Interrupted: if asked to stop.
        """
        end = time.monotonic() + seconds
        self._heed_stop()
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _TICK_SECONDS))
            self._heed_stop()

    def run(
        self,
        step: Step,
        each_line: Callable[[str], None] = lambda line: None,
        watch: Callable[[], str] = lambda: "",
        to_the_end: bool = False,
    ) -> Finished:
        """Runs a command.

        Args:
          step: what to run.
          each_line: is given every line of output and of errors as it comes.
          watch: is asked several times a second why to end the command; "" if not to.
          to_the_end: does not end it when asked to stop meanwhile.

        Raises:
          Interrupted: if asked to stop; the command is ended first.
        """
        self._heed_stop()
        deadline = time.monotonic() + 60 * step.minutes
        running = _Command(step.argv)
        try:
            while running.is_alive():
                running.pass_on(each_line)
                if not to_the_end:
                    self._heed_stop()
                if reason := watch():
                    return running.finish(reason)
                if time.monotonic() > deadline:
                    return running.finish(f"no answer within {step.minutes:g} minutes")
            running.pass_on(each_line)
            return running.finish()
        finally:
            running.end()

    def _heed_stop(self) -> None:
        if reason := self._stop():
            raise Interrupted(reason)


class _Command:
    """A program that runs; threads read what it prints."""

    def __init__(self, argv: tuple[str, ...]):
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,  # nothing may wait for an answer
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for the launcher, not for gcloud
        )
        self._exited: float | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()  # None: no more of a stream
        self._output = collections.deque(maxlen=_LINES_KEPT)
        self._error = collections.deque(maxlen=_LINES_KEPT)
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self._process.stdout, self._output), (self._process.stderr, self._error))
        ]
        for reader in self._readers:
            reader.start()

    def is_alive(self) -> bool:
        """Returns whether more may be printed."""
        if self._exited is None and self._process.poll() is not None:
            self._exited = time.monotonic()
        # What it started and left behind may hold on to its output: not for long.
        left = self._exited is not None and time.monotonic() > self._exited + _GRACE_SECONDS
        return not left and any(reader.is_alive() for reader in self._readers)

    def pass_on(self, each_line: Callable[[str], None]) -> None:
        """Hands over the lines that came; waits a moment for the first."""
        end = time.monotonic() + _TICK_SECONDS
        wait = self.is_alive()
        try:
            while time.monotonic() < end or not self.is_alive():
                line = self._lines.get(timeout=_TICK_SECONDS) if wait else self._lines.get_nowait()
                wait = False
                if line is not None:
                    each_line(line)
        except queue.Empty:
            pass

    def finish(self, reason: str = "") -> Finished:
        """Returns how it ended; ends it, with a reason, if it has not by itself."""
        if reason or not self._has_exited():
            self.end()
            self._error.append(reason)
        code = TIMED_OUT if reason else self._process.returncode
        return Finished(code, "".join(self._output), "".join(self._error).strip())

    def end(self) -> None:
        """Ends the program with all that it started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                os.killpg(self._process.pid, number)
                self._has_exited()

    def _has_exited(self) -> bool:
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _read(self, stream, kept: collections.deque) -> None:
        for line in stream:
            kept.append(line)
            self._lines.put(line.rstrip("\r\n"))
        self._lines.put(None)
