"""The errors a person can mend, and how they are worded."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something that the person at the keyboard can put right.

    The message says what was wrong, where, and what to do; entry points print
    it without a stack trace and exit with status 2.
    """

    def _render_traceback_(self) -> list[str]:
        """Returns what IPython shows, so that in a notebook, too, the message stands alone."""
        return [f"error: {self}"]


class HungError(UserError):
    """Something outside, such as a disk, does not answer; its thread can't be ended."""


class LostProcessError(UserError):
    """Another process of the run is missing; this one can't leave in good order either."""


class DivergedError(UserError):
    """Training produced a loss or a gradient that is not a finite number."""


def suggestion(word: str, candidates: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" for the nearest candidate, or ""."""
    nearest = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.5)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def listing(names: Iterable[str]) -> str:
    """Returns the names, sorted and joined by commas."""
    return ", ".join(sorted(names))
