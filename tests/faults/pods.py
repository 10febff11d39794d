"""Two processes that train as one: one of them is stopped, fails, or is lost."""

import functools
import os
import pathlib
import signal
import time
from collections.abc import Callable

from launch import cli
from tests.bucket import free_port
from tests.faults import common, disks, feeds, stops

PHASES = ("import", "compile", "train", "eval", "save")

NOTICED = 2.0
"""Seconds after which JAX, which looks every second, has seen a signal and told the others,
also on a busy machine."""

HEARTBEAT = 10
"""Seconds of silence after which a frozen process counts as lost."""


def members(
    path: pathlib.Path,
    *overrides: str,
    of: int = 2,
    devices: int = 1,
    absent: tuple[int, ...] = (),
    fault: Callable[[], None] | None = None,
    whose: int = 1,
    own: tuple[str, ...] = (),
) -> list[common.Process]:
    """Starts the processes of a run.

    Args:
      path: the work directory.
      *overrides: arguments of all of them.
      of: how many there are.
      devices: how many each has.
      absent: indices of those that are not started.
      fault: what befalls one of them; see `common.Process`.
      whose: its index.
      own: further arguments of that one.
    """
    processes = []
    for index, arguments in enumerate(_arguments(*overrides, of=of)):
        begin = functools.partial(_begin, devices, fault if index == whose else None)
        more = own if index == whose else ()
        if index not in absent:
            processes.append(common.Process(path, *arguments, *more, fault=begin))
    return processes


def ended(*arguments, **options) -> list[common.Ended]:
    """Starts `members` and waits for their ends."""
    return [process.ended() for process in members(*arguments, **options)]


def sigterm_of_one(folder: pathlib.Path, phases=PHASES) -> common.Table:
    """Stops one of two by SIGTERM in each phase, resumes both, and compares the result."""
    table = common.Table("SIGTERM to one of two processes")
    slowest = 0.0
    for phase in phases:
        path = folder / phase
        start = time.monotonic()
        codes = _stopped(path, phase)
        slowest = max(slowest, time.monotonic() - start)
        table.demand(
            codes == [cli.STOPPED] * 2, "both saved and left with code 75", f"{phase}: {codes}"
        )
        _resume(table, path)
    table.note = f"ended at most {slowest:.0f} s after the start"
    return table


def missing_process(folder: pathlib.Path, ways=("killed", "frozen")) -> common.Table:
    """Kills or freezes one of two in the middle of a run, and lets one never come."""
    table = common.Table("missing process")
    bounds = []
    for way in ways:
        number, code, named, overrides = {
            "killed": (signal.SIGKILL, cli.BAD_INPUT, "error: process 1 of 2 did not answer", ()),
            # JAX's own runtime ends a process that waits for a frozen one.
            "frozen": (
                signal.SIGSTOP,
                -signal.SIGABRT,
                "(stopped sending heartbeats):\n1\n",
                (f"--heartbeat_timeout={HEARTBEAT}",),
            ),
        }[way]
        first, second = members(folder / way, *common.ENDLESS, *overrides)
        first.wait_for("ETA")
        os.kill(second.pid, number)
        start = time.monotonic()
        left = first.ended()
        seconds = time.monotonic() - start
        second.kill()
        table.demand(
            left.code == code and named in left.errors and seconds < 30,
            f"one {way}: the other ends and names it",
            f"{left}, {seconds:.0f} s later",
        )
        bounds.append(f"{seconds:.0f} s after one was {way}")
    sign = folder / "absent" / "processes" / "1"
    sign.parent.mkdir(parents=True)
    sign.write_text("of an earlier run")
    os.utime(sign, (0, 0))
    (alone,) = ended(folder / "absent", "--join_timeout=3", absent=(1,))
    table.demand(
        alone.refused("not all processes joined the run within 3 s; missing: process 1 of 2."),
        "one never came: refused, named",
        str(alone),
    )
    table.note = f"ended {', '.join(bounds)}"
    return table


def failing_process(folder: pathlib.Path, whose=(0, 1)) -> common.Table:
    """Lets the feed of one of two fail, then its disk: it says so, and both end."""
    table = common.Table("failing feed or disk of one of two processes")
    slowest = 0.0
    for index in whose:
        for name, fault, code, said, heard in (
            (
                "feed",
                functools.partial(feeds.break_feed, "raising"),
                cli.CRASHED,
                "RuntimeError: the feed is broken\n",
                f"error: process {index} of 2 ended: RuntimeError: the feed is broken\n",
            ),
            (
                "disk",
                functools.partial(disks.fail, "full"),
                cli.BAD_INPUT,
                "error: a checkpoint could not be written to",
                f"error: process {index} of 2 ended: a checkpoint could not be written to",
            ),
        ):
            both = ended(folder / str(index), feeds.STREAMED, fault=fault, whose=index)
            failed, other = both[index], both[1 - index]
            slowest = max(slowest, failed.seconds, other.seconds)
            table.demand(
                failed.code == code and said in failed.errors,
                f"{name}: code {code}, cause named",
                f"{name} of {index}: {failed}",
            )
            table.demand(
                other.refused(heard),
                f"{name}: the other told so, code 2",
                f"{name} of {index}, the other: {other}",
            )
        _resume(table, folder / str(index))
    table.note = f"ended at most {slowest:.0f} s after the start"
    return table


def _resume(table: common.Table, path: pathlib.Path) -> None:
    """Runs both again, to the end that an undisturbed run of two has."""
    lines = [str(each) for each in ended(path) if each.code]
    lines = lines or common.differences(_undisturbed(), path)
    table.demand(not lines, "resumed, same result", f"{path.name}: {'; '.join(lines)}")


def _begin(devices: int, fault: Callable[[], None] | None) -> None:
    import jax

    jax.config.update("jax_num_cpu_devices", devices)
    if fault:
        fault()


def _arguments(*overrides: str, of: int = 2) -> list[tuple[str, ...]]:
    coordinator = f"--coordinator=127.0.0.1:{free_port()}"
    return [
        (*overrides, coordinator, f"--num_processes={of}", f"--process_id={index}")
        for index in range(of)
    ]


def _stopped(path: pathlib.Path, phase: str) -> list[int]:
    """Returns the exit codes of two, the last of which gets SIGTERM."""
    if phase != "import":
        fault = functools.partial(stops.send, phase, signal.SIGTERM, pause=NOTICED)
        return [each.code for each in ended(path, fault=fault)]
    first, second = _arguments()
    process = common.Process(path, *first)
    code = stops.stopped_while_importing(path, *second)
    return [process.ended().code, code]


@functools.cache
def _undisturbed() -> pathlib.Path:
    path = common.new_folder()
    both = ended(path)
    if any(each.code for each in both):
        raise AssertionError(f"an undisturbed run of two ended with {both}")
    return path
