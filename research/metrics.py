"""Metrics on disk: metrics.jsonl is the truth, TensorBoard is drawn from it."""

import json
import math
import os
import pathlib
import shutil
import time
from collections.abc import Iterable, Iterator
from typing import Any

from research.errors import UserError, errors_of_disk
from research.workdir import Workdir, replace_file

Line = dict[str, Any]
"""A line of metrics: "step", "epoch", "split" and the values, by name."""


class MetricsLog:
    """Appends lines to metrics.jsonl and mirrors them to an event file.

    Opened at a step, it first drops what a run that went further had written,
    so that every step stands there once whatever happened before.
    """

    def __init__(self, workdir: Workdir, resume_step: int, tensorboard: bool):
        """Opens the log of a run that goes on after `resume_step`.

        Raises:
          UserError: if it can't be read or written, here as in all methods.
        """
        kept = [line for line in read(workdir.metrics) if line["step"] <= resume_step]
        self._workdir = workdir
        with errors_of_disk("metrics", workdir.root):
            rewrite(workdir.metrics, kept)
            self._file = workdir.metrics.open("a")
        # Event files can't be cut, but they can be made anew.
        shutil.rmtree(workdir.events, ignore_errors=True)
        self._events = EventFile(workdir) if tensorboard else None
        if self._events:
            for line in kept:
                self._events.write(line)

    def write(self, line: Line) -> None:
        """Appends a line."""
        with errors_of_disk("metrics", self._workdir.root):
            self._file.write(_encode(line))
        if self._events:
            self._events.write(line)

    def flush(self) -> None:
        """Returns once all lines are on the disk (in the bucket), come what may."""
        with errors_of_disk("metrics", self._workdir.root):
            self._file.flush()
            os.fsync(self._file.fileno())
        if self._events:
            self._events.flush()
        self._workdir.push()

    def close(self) -> None:
        """Writes out everything and closes the files."""
        self.flush()
        self._file.close()
        if self._events:
            self._events.close()


class EventFile:
    """The event file of TensorBoard; lines reach it when it is flushed.

    Not before: to import what writes it takes seconds where PyTorch is installed,
    for which no first step is to wait.
    """

    def __init__(self, workdir: Workdir):
        """Writes nothing yet."""
        self._workdir = workdir
        self._waiting: list[tuple[float, Line]] = []
        self._writer = None

    def write(self, line: Line) -> None:
        """Appends a line, with the time."""
        self._waiting.append((time.time(), line))

    def flush(self) -> None:
        """Returns once all lines are on the disk."""
        from tensorboardX.event_file_writer import EventsWriter

        with errors_of_disk("event files", self._workdir.root):
            if self._writer is None:
                self._workdir.events.mkdir()
                self._writer = EventsWriter(str(self._workdir.events / "events"))
            for wall_time, line in self._waiting:
                self._writer.write_event(_event(wall_time, line))
            self._writer.flush()
        self._waiting.clear()

    def close(self) -> None:
        """Closes the file."""
        if self._writer:
            self._writer.close()


def _event(wall_time: float, line: Line):
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.summary import scalar

    event = Event(step=line["step"], wall_time=wall_time)
    run = f"replica_{line['replica']}/" if "replica" in line else ""
    for name, value in line.items():
        if name not in ("step", "split", "epoch", "replica"):
            event.summary.MergeFrom(scalar(f"{run}{line['split']}/{name}", value))
    return event


class NoLog:
    """What processes that write no metrics have in place of a log."""

    def write(self, line: Line) -> None:
        """Writes nothing."""

    def flush(self) -> None:
        """Has nothing to wait for."""

    def close(self) -> None:
        """Has nothing to close."""


def read(path: pathlib.Path) -> Iterator[Line]:
    """Yields the lines of a metrics file, none if there is no file.

    A last line that a killed process left incomplete is passed over.

    Raises:
      UserError: if any other line is damaged.
    """
    if not path.exists():
        return
    text = path.read_text()
    lines = text.split("\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            values = json.loads(line)
            values["step"], values["split"]
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path}, line {number} is damaged: {line[:80]!r}") from error
        yield values


def rewrite(path: pathlib.Path, lines: Iterable[Line]) -> None:
    """Replaces a metrics file by one of these lines."""
    replace_file(path, "".join(map(_encode, lines)))


def _encode(line: Line) -> str:
    # JSON has no NaN; a reader in another language must not stumble over one.
    safe = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in line.items()
    }
    return json.dumps(safe) + "\n"
