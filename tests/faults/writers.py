"""Two processes in one work directory."""

import pathlib
import subprocess
import time

from launch import cli
from tests.faults import common

LONG = ("--config.steps=1000000", "--config.checkpoint.every_steps=1000000")


def two_writers(folder: pathlib.Path) -> common.Table:
    """Starts a second writer, kills the first, and starts the second again."""
    table = common.Table("two writers")
    path = folder / "run"
    with subprocess.Popen(
        common.command(path, *LONG), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as first:
        assert any("ETA" in line for line in first.stdout)
        start = time.monotonic()
        second = _run(path, *LONG)
        seconds = time.monotonic() - start
        if second.returncode == cli.BAD_INPUT and f"process {first.pid} on" in second.stderr:
            table.outcomes["second refused, holder named"] += 1
        else:
            table.wrong.append(f"second ended with {second.returncode}: {second.stderr}")
        first.kill()
    third = _run(path, *LONG, "--max_minutes=0")
    if third.returncode == cli.STOPPED:
        table.outcomes["lock of a killed process taken over"] += 1
    else:
        table.wrong.append(f"third ended with {third.returncode}: {third.stderr}")
    table.note = f"refused after {seconds:.1f} s"
    return table


def _run(path: pathlib.Path, *overrides: str) -> subprocess.CompletedProcess:
    return subprocess.run(common.command(path, *overrides), capture_output=True, text=True)
