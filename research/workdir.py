"""A run's work directory: which files stand in it, and whose they are."""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import platform
import tempfile
from typing import Any

import research
from research import lock, remote
from research.errors import UserError, errors_of_disk, first_line
from research.experiment import Experiment, from_recorded
from research.records import difference

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
"""Packages whose versions are written beside the experiment."""


@dataclasses.dataclass(frozen=True)
class Workdir:
    """Paths of the files of a run.

    Attributes:
      root: the folder, on a disk, in which the small files are read and written.
    """

    root: pathlib.Path

    @property
    def home(self) -> remote.Path:
        """The work directory as all processes and people know it."""
        return self.root

    def check_writable(self) -> None:
        """Creates the directory unless it is there; raises `UserError` if it can't be written."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise UserError(
                f"work directory {self.root} can't be written to: {error.strerror}. "
                "Choose another one with --workdir=…"
            ) from error

    def sole_writer(self) -> contextlib.AbstractContextManager[None]:
        """Holds the directory while a block runs; see `research.lock.sole_writer`."""
        return lock.sole_writer(self.lock)

    def push(self) -> None:
        """Returns once the files under `root` are in `home`, too."""

    @property
    def experiment(self) -> pathlib.Path:
        """What ran, whole, with versions and the data's fingerprint."""
        return self.root / "experiment.json"

    @property
    def lock(self) -> pathlib.Path:
        """Held by the one process that may write here."""
        return self.root / "lock"

    @property
    def roll(self) -> remote.Path:
        """Where the processes of a run sign; one file each."""
        return self.home / "processes"

    @property
    def metrics(self) -> pathlib.Path:
        """All metrics, one JSON object a line; the truth about the run."""
        return self.root / "metrics.jsonl"

    @property
    def events(self) -> pathlib.Path:
        """TensorBoard event files, made from the metrics."""
        return self.root / "tensorboard"

    @property
    def checkpoints(self) -> remote.Path:
        """Orbax checkpoints, one folder a step."""
        return self.home / "checkpoints"

    @property
    def summary(self) -> pathlib.Path:
        """The result, written at the end."""
        return self.root / "summary.json"

    @property
    def curves(self) -> pathlib.Path:
        """Learning curves, drawn at the end."""
        return self.root / "learning_curves.png"


@dataclasses.dataclass(frozen=True)
class BucketWorkdir(Workdir):
    """The same in a bucket: checkpoints are written there, small files by a mirror."""

    mirror: remote.Mirror

    @property
    def home(self) -> remote.Path:
        return self.mirror.home

    def check_writable(self) -> None:
        self.mirror.check_writable()

    def sole_writer(self) -> contextlib.AbstractContextManager[None]:
        return self.mirror.sole_writer()

    def push(self) -> None:
        self.mirror.push()


def open_workdir(path: str | os.PathLike) -> Workdir:
    """Creates the work directory unless it is there, and checks it is writable.

    Args:
      path: a folder on a disk, or gs://BUCKET/FOLDER.

    Raises:
      UserError: if it can't be created or written to.
    """
    files = _workdir(path)
    files.check_writable()
    return files


def find_workdir(path: str | os.PathLike) -> Workdir:
    """Returns a work directory to be read, with its small files at hand.

    Raises:
      UserError: if it is in a bucket that can't be read.
    """
    files = _workdir(path)
    if isinstance(files, BucketWorkdir):
        files.mirror.pull()
    return files


def _workdir(path: str | os.PathLike) -> Workdir:
    home = remote.locate(path)
    if not remote.is_remote(home):
        return Workdir(home)
    mirror = remote.Mirror(home, elsewhere=("checkpoints", "damaged", "processes"))
    return BucketWorkdir(mirror.root, mirror)


def claim(workdir: Workdir, experiment: Experiment, data_fingerprint: str) -> None:
    """Makes the directory this experiment's, or checks that it is already.

    Raises:
      UserError: if it belongs to another experiment or to other data, with the
        fields that differ.
    """
    if not workdir.experiment.exists():
        if any(workdir.checkpoints.glob("*")):
            raise UserError(
                f"{workdir.home} holds checkpoints but no experiment.json that says whose "
                "they are. Restore that file, or choose another --workdir"
            )
        write_json(
            workdir.experiment,
            {
                "experiment": dataclasses.asdict(experiment),
                "data_fingerprint": data_fingerprint,
                "versions": versions(),
            },
        )
        workdir.push()
        return
    recorded, recorded_fingerprint = read_experiment(workdir)
    if changes := changes_of_result(recorded, experiment):
        raise UserError(
            f"{workdir.home} belongs to another experiment. Fields that differ "
            "(there -> here):\n"
            + "\n".join(f"  config.{change}" for change in changes)
            + "\nGive them their old values to resume it, or choose another --workdir"
        )
    if recorded_fingerprint != data_fingerprint:
        raise UserError(
            f"the data set {experiment.data.name!r} has changed since the run in "
            f"{workdir.home} began, so it can't be resumed. Restore the data, or start "
            "anew in another --workdir"
        )


def changes_of_result(recorded: Experiment, experiment: Experiment) -> list[str]:
    """Returns the fields that differ, but for those that decide no result.

    Where arrays live, how data gets there, when the state is saved and how many replicas
    take their turn at once may change from one start to the next; what is computed may not.
    """
    free = {name: getattr(recorded, name) for name in ("mesh", "feeding", "checkpoint")}
    at_once = recorded.population.at_once
    free["population"] = dataclasses.replace(experiment.population, at_once=at_once)
    return difference(recorded, dataclasses.replace(experiment, **free))


def read_experiment(workdir: Workdir) -> tuple[Experiment, str]:
    """Returns the experiment of a work directory and its data's fingerprint.

    Raises:
      UserError: if the directory holds none, or its file is damaged.
    """
    # Where people find it, which is what messages are to name.
    return read_recorded(workdir.home / workdir.experiment.name)


def read_recorded(path: remote.Path) -> tuple[Experiment, str]:
    """Returns what an experiment.json holds; see `read_experiment`."""
    values = read_json(path)
    if not isinstance(values, dict) or not {"experiment", "data_fingerprint"} <= values.keys():
        raise UserError(f"{path} is damaged: it does not describe an experiment")
    return from_recorded(values["experiment"]), values["data_fingerprint"]


def provenance(experiment: Experiment, mesh: str) -> dict[str, Any]:
    """Returns what a checkpoint says of its origin: experiment, devices and versions."""
    return {
        "experiment": dataclasses.asdict(experiment),
        "mesh": mesh,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Returns the versions of Hanok, Python and the packages that matter."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"hanok": research.__version__, "python": platform.python_version(), **found}


def write_json(path: remote.Path, values: Any) -> None:
    """Writes a JSON file so that it is there whole or not at all.

    Raises:
      UserError: if the disk does not take it.
    """
    with errors_of_disk(path.name, path.parent):
        replace_file(path, json.dumps(values, indent=2) + "\n")


def replace_file(path: remote.Path, text: str) -> None:
    """Writes a text file so that the old or the new one is there, whole."""
    if remote.is_remote(path):
        path.write_text(text)  # as every object is
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def read_json(path: remote.Path) -> Any:
    """Reads a JSON file.

    Raises:
      UserError: if it isn't there, or isn't JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"no file {path}: is {path.parent} a work directory?") from error
    except Exception as error:  # buckets raise many kinds
        raise UserError(f"{path} can't be read: {first_line(error)}") from error
