"""Adds the golden runs of the version at hand: `python -m tests.golden`."""

import os
import pathlib
import shutil
import sys
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import research
from research import workdir
from research.checkpoint_files import read_arrays
from research.restoring import evaluate_checkpoint
from tests import golden
from tests.runs import experiment, run

LEFT_OUT = ("lock", "tensorboard")


def main() -> int:
    """Returns 1 if the runs of this version are there already."""
    folder = golden.FOLDER / research.__version__
    if folder.exists():
        print(f"{folder} is there already: golden runs never change")
        return 1
    for name, overrides in golden.RUNS.items():
        with tempfile.TemporaryDirectory() as temporary:
            path = pathlib.Path(temporary) / name
            make(path, experiment(*overrides))
            archive = pathlib.Path(shutil.make_archive(str(folder / name), "zip", path))
        print(f"{archive}: {archive.stat().st_size:,} bytes")
    return 0


def make(path: pathlib.Path, chosen) -> None:
    """Trains half way in `path`, and notes what is found there and at the end."""
    run(chosen, path, stop_after=golden.STOPPED_AFTER)
    evaluated = evaluate_checkpoint(str(path))
    with tempfile.TemporaryDirectory() as temporary:
        copy = pathlib.Path(temporary) / "finished"
        shutil.copytree(path, copy)
        finished = run(chosen, copy)
    workdir.write_json(
        path / golden.EXPECTED,
        {
            "digests": golden.digests(
                read_arrays(path / "checkpoints" / str(golden.STOPPED_AFTER))
            ),
            "results": {
                name: result.as_dict(evaluated.class_names)
                for name, result in evaluated.results.items()
            },
            "finished": {"step": finished.step, "test": finished.summary["test"]},
        },
    )
    for entry in LEFT_OUT:
        shutil.rmtree(path / entry) if (path / entry).is_dir() else (path / entry).unlink(True)


if __name__ == "__main__":
    sys.exit(main())
