"""What all entry points share: exit codes, errors and signals."""

import logging
import signal
import sys
from collections.abc import Callable

from research.errors import DivergedError, UserError

SUCCESS = 0
BAD_INPUT = 2
DIVERGED = 3
STOPPED = 75
"""Exit codes. STOPPED (EX_TEMPFAIL): the state was saved, the same command
again goes on; 1 is a crash, with its stack trace."""


def run(main: Callable[[list[str]], int]) -> None:
    """Runs an entry point on the command line and exits with its code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("research").setLevel(logging.INFO)
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax's notes on itself
    sys.exit(guarded(main, sys.argv[1:]))


def guarded(main: Callable[[list[str]], int], argv: list[str]) -> int:
    """Runs an entry point; an error the user can mend is one clear message."""
    try:
        return main(argv)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return DIVERGED if isinstance(error, DivergedError) else BAD_INPUT


class StopSignals:
    """Asks a run to stop after SIGINT or SIGTERM; a second SIGINT ends at once.

    The handlers only set a flag; the run saves at its next step.
    """

    def __enter__(self) -> "StopSignals":
        self._reason = ""
        self._previous = {
            number: signal.signal(number, self._handle)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def __call__(self) -> str:
        """Returns the name of the signal that came, or ""."""
        return self._reason

    def _handle(self, number, frame) -> None:
        del frame
        if self._reason and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._reason = signal.Signals(number).name
