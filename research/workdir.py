"""A run's work directory: which files stand in it, and whose they are."""

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import platform
import tempfile
from typing import Any

import research
from research.errors import UserError, errors_of_disk
from research.experiment import Experiment
from research.records import difference, from_dict

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
"""Packages whose versions are written beside the experiment."""


@dataclasses.dataclass(frozen=True)
class Workdir:
    """Paths of the files of a run."""

    root: pathlib.Path

    @property
    def experiment(self) -> pathlib.Path:
        """What ran, whole, with versions and the data's fingerprint."""
        return self.root / "experiment.json"

    @property
    def lock(self) -> pathlib.Path:
        """Held by the one process that may write here."""
        return self.root / "lock"

    @property
    def roll(self) -> pathlib.Path:
        """Where the processes of a run sign; one file each."""
        return self.root / "processes"

    @property
    def metrics(self) -> pathlib.Path:
        """All metrics, one JSON object a line; the truth about the run."""
        return self.root / "metrics.jsonl"

    @property
    def events(self) -> pathlib.Path:
        """TensorBoard event files, made from the metrics."""
        return self.root / "tensorboard"

    @property
    def checkpoints(self) -> pathlib.Path:
        """Orbax checkpoints, one folder a step."""
        return self.root / "checkpoints"

    @property
    def summary(self) -> pathlib.Path:
        """The result, written at the end."""
        return self.root / "summary.json"

    @property
    def curves(self) -> pathlib.Path:
        """Learning curves, drawn at the end."""
        return self.root / "learning_curves.png"


def open_workdir(path: str) -> Workdir:
    """Creates the work directory unless it is there, and checks it is writable.

    Raises:
      UserError: if it can't be created or written to.
    """
    root = pathlib.Path(path).expanduser().absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        raise UserError(
            f"work directory {root} can't be written to: {error.strerror}. "
            "Choose another one with --workdir=…"
        ) from error
    return Workdir(root)


def claim(workdir: Workdir, experiment: Experiment, data_fingerprint: str) -> None:
    """Makes the directory this experiment's, or checks that it is already.

    Raises:
      UserError: if it belongs to another experiment or to other data, with the
        fields that differ.
    """
    if not workdir.experiment.exists():
        if any(workdir.checkpoints.glob("*")):
            raise UserError(
                f"{workdir.root} holds checkpoints but no experiment.json that says whose "
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
        return
    recorded, recorded_fingerprint = read_experiment(workdir)
    # Where arrays live may change from one start to the next; what is computed may not.
    changes = difference(recorded, dataclasses.replace(experiment, mesh=recorded.mesh))
    if changes:
        raise UserError(
            f"{workdir.root} belongs to another experiment. Fields that differ "
            "(there -> here):\n"
            + "\n".join(f"  config.{change}" for change in changes)
            + "\nGive them their old values to resume it, or choose another --workdir"
        )
    if recorded_fingerprint != data_fingerprint:
        raise UserError(
            f"the data set {experiment.data.name!r} has changed since the run in "
            f"{workdir.root} began, so it can't be resumed. Restore the data, or start "
            "anew in another --workdir"
        )


def read_experiment(workdir: Workdir) -> tuple[Experiment, str]:
    """Returns the experiment of a work directory and its data's fingerprint.

    Raises:
      UserError: if the directory holds none, or its file is damaged.
    """
    return read_recorded(workdir.experiment)


def read_recorded(path: pathlib.Path) -> tuple[Experiment, str]:
    """Returns what an experiment.json holds; see `read_experiment`."""
    values = read_json(path)
    if not isinstance(values, dict) or not {"experiment", "data_fingerprint"} <= values.keys():
        raise UserError(f"{path} is damaged: it does not describe an experiment")
    return from_dict(Experiment, values["experiment"]), values["data_fingerprint"]


def versions() -> dict[str, str]:
    """Returns the versions of Hanok, Python and the packages that matter."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"hanok": research.__version__, "python": platform.python_version(), **found}


def write_json(path: pathlib.Path, values: Any) -> None:
    """Writes a JSON file so that it is there whole or not at all.

    Raises:
      UserError: if the disk does not take it.
    """
    with errors_of_disk(path.name, path.parent):
        replace_file(path, json.dumps(values, indent=2) + "\n")


def replace_file(path: pathlib.Path, text: str) -> None:
    """Writes a text file so that the old or the new one is there, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def read_json(path: pathlib.Path) -> Any:
    """Reads a JSON file.

    Raises:
      UserError: if it isn't there, or isn't JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"no file {path}: is {path.parent} a work directory?") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}") from error
