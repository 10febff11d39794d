"""One writer for each work directory."""

import contextlib
import fcntl
import json
import os
import pathlib
import socket
import time
from collections.abc import Iterator
from typing import Any

from research.errors import UserError


@contextlib.contextmanager
def sole_writer(path: pathlib.Path) -> Iterator[None]:
    """Holds the lock file of a work directory while the block runs.

    The lock is the operating system's: it ends with the process, however that
    ends, so that a file left behind by a dead one hinders nobody.

    Raises:
      UserError: if another process holds it, saying which.
    """
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise held_by_another(path.parent, file.read()) from error
        file.seek(0)
        file.truncate()
        json.dump(holder(), file)
        file.flush()
        yield
        # Emptied rather than removed: whoever waits holds this very file.
        file.truncate(0)


def holder() -> dict[str, Any]:
    """Returns what this process says of itself where it holds a lock."""
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }


def described(text: str | bytes) -> str:
    """Says in words what a holder wrote of itself as JSON."""
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "it has not said which"


def held_by_another(folder: os.PathLike, text: str | bytes) -> UserError:
    """Returns the error of a work directory whose holder wrote this of itself."""
    return UserError(
        f"{folder} is being written by another run ({described(text)}). "
        "Wait for its end or stop it, or choose another --workdir"
    )
