"""What all entry points share: exit codes, errors and signals.

It imports nothing slow, so that signals are heeded from the first moment.
"""

import builtins
import faulthandler
import gc
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable

from research.errors import DivergedError, HungError, LostProcessError, UserError

SUCCESS = 0
CRASHED = 1
BAD_INPUT = 2
DIVERGED = 3
STOPPED = 75
INTERRUPTED = 130
"""Exit codes. STOPPED (EX_TEMPFAIL): the state was saved, the same command
again goes on; INTERRUPTED: a second SIGINT left at once, as if killed; 1 is a
crash, with its stack trace."""


IN_TURN = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
"""XLA:CPU otherwise hands independent operations to different threads, which takes a
small network longer than to compute them (75 µs a step instead of 54)."""


OBJECTS_BEFORE_COLLECTION = 100_000
"""New objects after which Python looks for garbage among them. To import JAX, Flax and
Orbax makes a million that stay: with Python's 700 the search takes a tenth of a start."""


class HelpShown(Exception):
    """The help that was asked for has been shown; nothing is left to do."""

    def _render_traceback_(self) -> list[str]:
        """Returns what IPython shows: nothing more."""
        return []


def run(main: Callable[[list[str]], int]) -> None:
    """Runs an entry point on the command line and exits with its code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("research").setLevel(logging.INFO)
    # What fails in the threads of Orbax and of buckets reaches us as an exception; they need not
    # print their own stack traces beside it.
    for name in ("absl", "asyncio", "gcsfs"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    sys.unraisablehook = _pass_over_abandoned_writes
    # A process that a signal ends says where it was, such as SIGBUS: a file that
    # is mapped into memory was cut.
    faulthandler.enable()
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION)
    os.environ["XLA_FLAGS"] = f"{IN_TURN} {os.environ.get('XLA_FLAGS', '')}"
    code = guarded(main, sys.argv[1:])
    _flush()
    sys.exit(code)


def guarded(main: Callable[[list[str]], int], argv: list[str]) -> int:
    """Runs an entry point; an error the user can mend is one clear message."""
    try:
        return main(argv)
    except HelpShown:
        return SUCCESS
    except BrokenPipeError:
        return 1
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        code = DIVERGED if isinstance(error, DivergedError) else BAD_INPUT
        # What does not answer would hold up any other exit.
        at_once = isinstance(error, HungError | LostProcessError)
    except Exception:
        if not _one_of_many():
            raise
        traceback.print_exc()
        code, at_once = CRASHED, True
    if (at_once or _one_of_many()) and not _in_notebook():
        _flush()
        os._exit(code)
    return code


def _flush() -> None:
    try:
        sys.stdout.flush()
    except OSError:  # whoever read what we print has gone, as `head` or a terminal does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _one_of_many() -> bool:
    """Whether this process trains together with others, for which JAX waits at its end."""
    return "jax" in sys.modules and sys.modules["jax"].distributed.is_initialized()


def _in_notebook() -> bool:
    """Whether this process is a notebook's, and not ours to end."""
    return hasattr(builtins, "__IPYTHON__")


def _pass_over_abandoned_writes(unraisable) -> None:
    """Python's hook for exceptions that reach nobody.

    After one write of a checkpoint has failed, TensorStore reports the end of
    the others to an event loop that is gone.
    """
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


class StopRequest:
    """Asks a run to stop: after SIGINT, SIGTERM or SIGHUP, or when its time is up.

    The handlers only set a flag; the run saves at its next step. A second
    SIGINT ends the process at once; in a notebook, whose process is not ours to
    end, it interrupts the cell. Python hears signals in its main thread alone:
    elsewhere only the time can be up.
    """

    def __enter__(self) -> "StopRequest":
        self._reason = ""
        self._deadline = float("inf")
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            for number in (signal.SIGINT, signal.SIGTERM, *([] if nohup else [signal.SIGHUP])):
                self._previous[number] = signal.signal(number, self._handle)
        else:
            logging.getLogger(__name__).warning(
                "not in the main thread: SIGINT and SIGTERM will not stop and save this run, "
                "--max_minutes will"
            )
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def limit(self, minutes: float) -> None:
        """Lets the time be up when this many minutes have passed from now."""
        self._deadline = time.monotonic() + 60 * minutes

    def request(self, reason: str) -> None:
        """Asks the run to stop; for other threads, such as `preemption.watch`."""
        self._reason = self._reason or reason

    def __call__(self) -> str:
        """Returns why the run is to stop, or "" if it is not."""
        if time.monotonic() > self._deadline:
            self.request("--max_minutes")
        return self._reason

    def _handle(self, number, frame) -> None:
        del frame
        if number == signal.SIGINT and self._reason == "SIGINT":
            if _in_notebook():
                raise KeyboardInterrupt
            os.write(2, b"interrupted; the same command resumes from the last checkpoint\n")
            os._exit(INTERRUPTED)
        self._reason = signal.Signals(number).name
