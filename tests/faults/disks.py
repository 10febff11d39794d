"""Disks that are full, read-only or don't answer."""

import contextlib
import functools
import os
import pathlib
import shutil
import subprocess
import time
from collections.abc import Iterator

from tests.faults import common

REFUSED = "refused in one message"
SIZES = ("8k", "50k", "100k", "150k", "200k", "250k", "300k", "400k")
"""Of file systems that are full before the first save, while it is written, after it."""


def failing_disks(folder: pathlib.Path, sizes=SIZES) -> common.Table:
    """Trains where files can't grow or folders vanish, on full and read-only mounts."""
    table = common.Table("failing disks")
    slowest = 0.0
    for name, promised in (
        ("full", "could not be written to"),
        ("gone", "could not be written to"),
        ("hung", "has not ended after 1 s; does the disk answer?"),
    ):
        ended = common.finish(folder / name, fault=functools.partial(fail, name))
        table.demand(ended.refused(promised), REFUSED, f"{name}: {ended}")
        slowest = max(slowest, ended.seconds)
        if name == "gone":
            _put_back(folder / name)
        common.resume(table, folder / name, "resumed on a sound disk, same result")
    mounts = {f"full at {size}": f"size={size}" for size in sizes}
    for name, options in {**mounts, "read-only": "ro"}.items():
        with _mounted(folder / name.replace(" ", "-"), options) as mounted:
            if not mounted:
                table.outcomes["no right to mount here"] += 1
                continue
            ended = common.finish(mounted / "run")
            table.demand(ended.refused(str(mounted)), REFUSED, f"{name}: {ended}")
            slowest = max(slowest, ended.seconds)
    table.note = f"ended at most {slowest:.0f} s after the start"
    return table


def fail(how: str) -> None:
    """Has the disk of the run to come fail at its third save."""
    import resource

    from research.checkpoints import Checkpoints, manifest

    original, saves = Checkpoints.save, []

    def save(self, step, state, score=None):
        saves.append(step)
        if len(saves) == 3 and how == "full":
            # No file may grow beyond this from now on: what a quota does.
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        if len(saves) == 3 and how == "gone":
            self.wait()
            directory = pathlib.Path(self._directory)
            directory.rename(directory.with_name("elsewhere"))
            directory.write_text("a file where the folder was")
        if len(saves) == 3 and how == "hung":
            self._timeout = 1.0
            manifest.write = lambda *_: time.sleep(3600)
        return original(self, step, state, score)

    Checkpoints.save = save


def _put_back(path: pathlib.Path) -> None:
    """Undoes what `fail` did to the checkpoints."""
    (path / "checkpoints").unlink()
    (path / "elsewhere").rename(path / "checkpoints")


@contextlib.contextmanager
def _mounted(path: pathlib.Path, options: str) -> Iterator[pathlib.Path | None]:
    """Mounts a file system in memory, where one can."""
    path.mkdir()
    mount = shutil.which("mount")
    command = [mount, "-t", "tmpfs", "-o", options, "tmpfs", path]
    done = (
        mount and os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
    )
    try:
        yield path if done else None
    finally:
        if done:
            subprocess.run(["umount", path], check=True)
