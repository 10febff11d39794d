"""Two processes in one work directory."""

import pathlib

from launch import cli
from tests.faults import common

LONG = ("--config.steps=1000000", "--config.checkpoint.every_steps=1000000")


def two_writers(folder: pathlib.Path) -> common.Table:
    """Starts a second writer, kills the first, and starts the second again."""
    table = common.Table("two writers")
    first = common.Process(folder, *LONG)
    first.wait_for("ETA")
    second = common.finish(folder, *LONG)
    holder = f"process {first.pid} on"
    table.demand(second.refused(holder), "second refused, holder named", str(second))
    first.kill()
    third = common.finish(folder, *LONG, "--max_minutes=0")
    table.demand(third.code == cli.STOPPED, "lock of a killed process taken over", str(third))
    table.note = f"refused {second.seconds:.1f} s after the start"
    return table
