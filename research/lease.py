"""One writer for each work directory in a bucket, where nothing can be locked."""

import contextlib
import json
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from etils import epath

from research.errors import UserError
from research.lock import described, held_by_another, holder

NAME = "lock"

BEAT = 10.0
"""Seconds between two signs of life."""

PATIENCE = 4
"""After how many beats without a sign of life a holder counts as dead."""


class Lease:
    """An object that its holder writes anew every few seconds for as long as it lives.

    No clock of one machine is compared with that of another: whoever finds the
    object watches whether it changes. It is only ever written over the very
    generation that was seen last, which the bucket checks, so that of two who
    come at once one gets it, and a holder that was given up for dead (cut off
    from the network, say) finds out at its next beat.
    """

    def __init__(self, store: Any, where: epath.Path, beat: float):
        """Describes the lease of a folder.

        Args:
          store: the objects in the folder, a `tensorstore.KvStore`.
          where: the folder.
          beat: seconds between two signs of life.
        """
        self._store = store
        self._where = where
        self._beat = beat
        self._holder = holder()
        self._taken_over = False
        self._released = threading.Event()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Holds the lease while the block runs.

        Raises:
          UserError: if another process holds it, saying which.
        """
        if not self._write(self._abandoned()):
            raise held_by_another(self._where, self._store.read(NAME).result().value)
        beating = threading.Thread(target=self._keep_beating, daemon=True)
        beating.start()
        try:
            yield
        finally:
            self._released.set()
            beating.join()
            if not self._taken_over:
                # Where this fails, the next one watches it for a while and takes it over.
                with contextlib.suppress(Exception):
                    self._store.write(NAME, None, if_equal=self._generation).result()

    def check(self) -> None:
        """Raises `UserError` if another process has taken the lease over."""
        if self._taken_over:
            raise UserError(
                f"this run was silent for so long that another one has taken over {self._where}; "
                "it has stopped without writing any more there"
            )

    def _abandoned(self) -> bytes:
        """Returns the generation of an object that nobody writes any more (or that isn't there)."""
        found = self._store.read(NAME).result()
        if found.state == "missing":
            return found.stamp.generation
        logging.getLogger(__name__).info(
            "%s was not released by %s; watching up to %.0f s whether that lives",
            self._where,
            described(found.value),
            PATIENCE * self._beat,
        )
        deadline = time.monotonic() + PATIENCE * self._beat
        while time.monotonic() < deadline:
            time.sleep(self._beat / 5)
            now = self._store.read(NAME).result()
            if now.state == "missing":
                return now.stamp.generation
            if now.stamp.generation != found.stamp.generation:
                raise held_by_another(self._where, now.value)
        return found.stamp.generation

    def _write(self, seen: bytes) -> bool:
        """Writes the object over a generation; returns whether that was still there."""
        value = json.dumps({**self._holder, "beat": uuid.uuid4().hex}).encode()
        self._generation = self._store.write(NAME, value, if_equal=seen).result().generation
        if not self._generation:
            # Or was it we, and only the answer got lost?
            found = self._store.read(NAME).result()
            self._generation = found.stamp.generation if found.value == value else b""
        return bool(self._generation)

    def _keep_beating(self) -> None:
        while not self._released.wait(self._beat):
            seen = self._generation
            try:
                if not self._write(seen):
                    self._taken_over = True
                    return
            except Exception:  # of the network; the next beat may get through
                self._generation = seen
