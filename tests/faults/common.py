"""What all kinds of faults share: runs in processes, their results, the table of outcomes."""

import atexit
import collections
import dataclasses
import functools
import multiprocessing
import os
import pathlib
import shutil
import signal
import tempfile
import time
from collections.abc import Callable

import numpy as np

from research.checkpoint_files import read_arrays
from tests.events import read_events

OVERRIDES = [
    "--config.steps=120",
    "--config.model.widths=(64,)",
    "--config.logging.every_steps=10",
    "--config.checkpoint.every_steps=20",
    "--config.optimizer.ema_decay=0.9",
]
ENDLESS = (
    "--config.steps=1000000",
    "--config.checkpoint.every_steps=1000000",
    "--config.evaluation.every_epochs=100000",
)
PATIENCE = 300.0
"""Seconds after which a process that has not ended counts as hanging."""


@dataclasses.dataclass
class Table:
    """How often a kind of fault ended how.

    Attributes:
      name: the fault.
      outcomes: outcome -> number of cases.
      wrong: what must not happen but did, one line each.
      note: a measured bound.
    """

    name: str
    outcomes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    wrong: list[str] = dataclasses.field(default_factory=list)
    note: str = ""

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count} {name}" for name, count in self.outcomes.items())
        cells = (self.name, sum(self.outcomes.values()), outcomes, len(self.wrong), self.note)
        return f"| {' | '.join(map(str, cells))} |"

    def demand(self, condition: bool, outcome: str, otherwise: str) -> None:
        """Counts an outcome, or notes what went wrong instead."""
        if condition:
            self.outcomes[outcome] += 1
        else:
            self.wrong.append(f"{outcome}: {otherwise}")


class Process:
    """A command in a process of its own.

    It is forked from a server that has imported what training needs, so that a
    hundred of them take minutes. What a fault needs is done in the new process
    before the command starts.
    """

    def __init__(
        self,
        path: pathlib.Path,
        *overrides: str,
        fault: Callable[[], None] | None = None,
        command: str = "launch.train",
    ):
        """Starts a command on the work directory `path`."""
        self._output = new_folder()
        self._start = time.monotonic()
        argv = [f"--workdir={path}", *(OVERRIDES if command == "launch.train" else []), *overrides]
        self._process = _server().Process(
            target=_main,
            args=(command, argv, fault, self._output, dict(os.environ)),
            daemon=True,
        )
        self._process.start()
        self.pid = self._process.pid

    def output(self) -> str:
        """Returns what it has printed so far."""
        return self._read("stdout")

    def errors(self) -> str:
        """Returns what it has printed to standard error so far."""
        return self._read("stderr")

    def _read(self, name: str) -> str:
        path = self._output / name
        return path.read_text() if path.exists() else ""

    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.is_alive()

    def wait_for(self, text: str) -> None:
        """Returns once it has printed a text."""
        while text not in self.output():
            if not self.alive() or time.monotonic() - self._start > PATIENCE:
                raise AssertionError(f"{text!r} was not printed: {self.output()}{self.errors()}")
            time.sleep(0.005)

    def kill(self) -> None:
        """Ends it at once, with SIGKILL."""
        self._process.kill()
        self._process.join()

    def ended(self) -> "Ended":
        """Waits for its end; one that hangs is killed."""
        self._process.join(PATIENCE)
        if self.alive():
            self.kill()
        seconds = time.monotonic() - self._start
        return Ended(self._process.exitcode, self.output(), self.errors(), seconds)


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (−n: by signal n), what it printed, and when."""

    code: int
    output: str
    errors: str
    seconds: float

    def __str__(self) -> str:
        return f"code {self.code} after {self.seconds:.0f} s: {self.errors[-500:]}"

    def refused(self, *promised: str) -> bool:
        """Whether it was one clear message of exit code 2 that holds these texts."""
        short = "Traceback" not in self.errors and len(self.errors.splitlines()) < 10
        return self.code == 2 and short and all(text in self.errors for text in promised)


def finish(path: pathlib.Path, *overrides: str, **how) -> Ended:
    """Runs a command to its end; see `Process`."""
    return Process(path, *overrides, **how).ended()


@functools.cache
def undisturbed(*overrides: str) -> pathlib.Path:
    """Returns the work directory of a run that nothing disturbed; made once."""
    path = new_folder()
    ended = finish(path, *overrides)
    if ended.code:
        raise AssertionError(f"an undisturbed run ended with {ended}")
    return path


def differences(expected: pathlib.Path, found: pathlib.Path) -> list[str]:
    """Returns in what two finished runs differ, bit for bit; [] if in nothing."""
    lines = []
    ours, theirs = (read_arrays(newest(path)) for path in (expected, found))
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs or not np.array_equal(ours[name], theirs[name]):
            lines.append(f"{name} differs")
    metrics = [(path / "metrics.jsonl").read_text() for path in (expected, found)]
    if metrics[0] != metrics[1]:
        lines.append("metrics.jsonl differs")
    if read_events(expected / "tensorboard") != read_events(found / "tensorboard"):
        lines.append("event files differ")
    return lines


def newest(path: pathlib.Path) -> pathlib.Path:
    """Returns the folder of the newest checkpoint that is complete."""
    return path / "checkpoints" / str(max(complete(path)))


def complete(path: pathlib.Path) -> list[int]:
    """Returns the steps of the checkpoints that are complete."""
    folder = path / "checkpoints"
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return [int(name) for name in names if name.isdigit()]


def resume(table: Table, path: pathlib.Path, outcome: str) -> None:
    """Runs the same command again, to the end that an undisturbed run has."""
    ended = finish(path)
    lines = differences(undisturbed(), path) if ended.code == 0 else [str(ended)]
    table.demand(not lines, outcome, "; ".join(lines))


def new_folder() -> pathlib.Path:
    """Returns a folder that is removed when this process ends."""
    return pathlib.Path(tempfile.mkdtemp(dir=_scratch()))


@functools.cache
def _scratch() -> pathlib.Path:
    path = pathlib.Path(tempfile.mkdtemp(prefix="faults-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@functools.cache
def _server():
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(
        ["launch.train", "launch.flags", "research.training", "sklearn.datasets", "tensorboardX"]
    )
    return server


def _main(
    command: str,
    argv: list[str],
    fault: Callable | None,
    output: pathlib.Path,
    environment: dict[str, str],
) -> None:
    import importlib

    from launch import cli

    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(output / name, os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests run under nohup
    os.environ.update(environment)  # of who starts it: the server may be older
    if fault:
        fault()
    main = importlib.import_module(command).main
    try:
        cli.run(lambda _: main(argv))
    finally:
        # As any interpreter does at its end, where JAX's processes part in good
        # order; those of multiprocessing end without.
        atexit._run_exitfuncs()
