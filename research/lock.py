"""One writer for each work directory."""

import contextlib
import fcntl
import json
import os
import pathlib
import socket
import time
from collections.abc import Iterator

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
            raise UserError(
                f"{path.parent} is being written by another run ({_holder(file.read())}). "
                "Wait for its end or stop it, or choose another --workdir"
            ) from error
        file.seek(0)
        file.truncate()
        json.dump(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
            },
            file,
        )
        file.flush()
        yield
        # Emptied rather than removed: whoever waits holds this very file.
        file.truncate(0)


def _holder(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "it has not said which"
