"""Disks that are full, read-only or don't answer."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

from launch import cli, train
from tests.faults import common


def failing_disks(folder: pathlib.Path) -> common.Table:
    """Trains where files can't grow, on a read-only mount, and with a save that hangs."""
    table = common.Table("failing disks")
    for fault, promised in FAULTS.items():
        path = folder / fault
        start = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-m", "tests.faults.disks", fault, *common.command(path)[3:]],
            capture_output=True,
            text=True,
        )
        seconds = time.monotonic() - start
        one_screen = "Traceback" not in ended.stderr and len(ended.stderr.splitlines()) < 10
        if ended.returncode == cli.BAD_INPUT and promised in ended.stderr and one_screen:
            table.outcomes[f"{fault}: refused in {seconds:.0f} s"] += 1
        else:
            table.wrong.append(f"{fault}: code {ended.returncode}: {ended.stderr[-500:]}")
        if fault == "full":
            _resume(table, path, folder)
    _full_mount(table, folder)
    return table


FAULTS = {
    "full": "could not be written to",
    "hung": "has not ended after 1 s; does the disk answer?",
}


def _resume(table: common.Table, path: pathlib.Path, folder: pathlib.Path) -> None:
    """With room again, the same command ends as if nothing had happened."""
    subprocess.run(common.command(path), check=True, stdout=subprocess.DEVNULL)
    common.run_undisturbed(folder / "undisturbed")
    lines = common.differences(folder / "undisturbed", path)
    table.wrong += [f"resumed after a full disk: {line}" for line in lines]
    table.outcomes["resumed after a full disk"] += 1


def _full_mount(table: common.Table, folder: pathlib.Path) -> None:
    """The same on file systems of 400 KB and without write access, where one can mount."""
    for name, options in {"small": "size=400k", "read-only": "size=400k,ro"}.items():
        with _mounted(folder / name, options) as mounted:
            if not mounted:
                table.outcomes[f"{name} mount not possible here"] += 1
                continue
            ended = subprocess.run(
                common.command(folder / name / "run"), capture_output=True, text=True
            )
            refused = ended.returncode == cli.BAD_INPUT and "Traceback" not in ended.stderr
            if refused:
                table.outcomes[f"{name} mount refused"] += 1
            else:
                table.wrong.append(f"{name} mount: {ended.returncode}: {ended.stderr[-500:]}")


@contextlib.contextmanager
def _mounted(path: pathlib.Path, options: str) -> Iterator[bool]:
    path.mkdir()
    mount = shutil.which("mount")
    done = (
        mount
        and os.geteuid() == 0
        and subprocess.run(
            [mount, "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True
        ).returncode
        == 0
    )
    try:
        yield bool(done)
    finally:
        if done:
            subprocess.run(["umount", path], check=True)


def main(fault: str, argv: list[str]) -> None:
    """Runs launch.train in a process whose disk fails after the second save."""
    import resource

    from research.checkpoints import Checkpoints, manifest

    original, saves = Checkpoints.save, []

    def save(self, step, state, score=None):
        saves.append(step)
        if len(saves) == 3 and fault == "full":
            # No file may grow beyond this from now on: what a quota does.
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        if len(saves) == 3 and fault == "hung":
            self._timeout = 1.0
            manifest.write = lambda *_: time.sleep(3600)
        return original(self, step, state, score)

    Checkpoints.save = save
    cli.run(lambda _: train.main(argv))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
