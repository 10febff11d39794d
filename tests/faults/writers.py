"""Two processes in one work directory."""

import pathlib

from launch import cli
from tests.faults import common


def two_writers(folder: pathlib.Path) -> common.Table:
    """Starts a second writer, kills the first, and starts the second again."""
    table = common.Table("two writers")
    first = common.Process(folder, *common.ENDLESS)
    first.wait_for("ETA")
    second = common.finish(folder, *common.ENDLESS)
    holder = f"process {first.pid} on"
    table.demand(second.refused(holder), "second refused, holder named", str(second))
    first.kill()
    third = common.finish(folder, *common.ENDLESS, "--max_minutes=0")
    table.demand(third.code == cli.STOPPED, "lock of a killed process taken over", str(third))
    table.note = f"refused {second.seconds:.1f} s after the start"
    return table
