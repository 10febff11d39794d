"""The errors a person can mend, and how they are worded."""

import contextlib
import difflib
import os
from collections.abc import Iterable, Iterator


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


class FailedSaveError(HungError):
    """A save failed; what Orbax began beside it may wait for minutes, and can't be ended."""


class LostProcessError(UserError):
    """Another process of the run is missing; this one can't leave in good order either."""


class SilentProcessError(LostProcessError):
    """Another process has neither answered nor said that it leaves."""


class DivergedError(UserError):
    """Training produced a loss or a gradient that is not a finite number."""


@contextlib.contextmanager
def errors_of_disk(
    what: str,
    folder: os.PathLike,
    kinds: type[Exception] = OSError,
    raised: type[UserError] = UserError,
) -> Iterator[None]:
    """Turns what a full or failing disk raises into an error that says what to do.

    Args:
      what: what is written.
      folder: where it is written to.
      kinds: the class of the exceptions meant.
      raised: the class of the error.
    """
    try:
        yield
    except UserError:
        raise
    except kinds as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise raised(
            f"{what} could not be written to {folder}: {reason}\nMake room or grant access there; "
            "the same command then goes on from the last complete checkpoint"
        ) from error


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


def shortened(items: Iterable[str], limit: int = 5, separator: str = "; ") -> str:
    """Returns the first items joined, and how many more there are."""
    items = list(items)
    more = [f"… and {len(items) - limit} more"] if len(items) > limit else []
    return separator.join(items[:limit] + more)


def indented(lines: Iterable[str], limit: int = 20) -> str:
    """Returns the first lines, each below the last and indented, and how many more there are."""
    return "  " + shortened(lines, limit, "\n  ")
