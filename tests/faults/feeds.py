"""Feeds that raise, and data that vanishes under a run."""

import functools
import pathlib
import signal

from tests.faults import common

STREAMED = "--config.feeding.source=streamed"
"""Data on the devices is read once; where it is streamed, each batch may fail."""


def failing_feeds(folder: pathlib.Path) -> common.Table:
    """Lets the feed raise, and cuts the file that it reads, in the middle of a run."""
    table = common.Table("failing feeds")
    ended = common.finish(
        folder / "raising", STREAMED, fault=functools.partial(break_feed, "raising")
    )
    named = "Traceback" in ended.errors and "RuntimeError: the feed is broken" in ended.errors
    table.demand(ended.code == 1 and named, "raises: code 1 with its traceback", str(ended))
    common.resume(table, folder / "raising", "resumed, same result")
    cut = common.finish(folder / "cut", STREAMED, fault=functools.partial(break_feed, "cut"))
    named = "Fatal Python error: Bus error" in cut.errors and "gather" in cut.errors
    table.demand(
        cut.code == -signal.SIGBUS and named, "file cut while read: SIGBUS with its place", str(cut)
    )
    common.resume(table, folder / "cut", "resumed, same result")
    slowest = max(ended.seconds, cut.seconds)
    table.note = f"ended at most {slowest:.0f} s after the start"
    return table


def break_feed(how: str) -> None:
    """Has the 50th batch of the run to come fail."""
    import tempfile

    import numpy as np

    from research.data.splits import Split

    original, calls = Split.gather, []

    def gather(self, positions):
        calls.append(positions)
        if len(calls) == 50 and how == "raising":
            raise RuntimeError("the feed is broken")
        if len(calls) == 50:
            with tempfile.NamedTemporaryFile() as file:
                images = np.memmap(file, np.uint8, "w+", shape=(10**6,))
                file.truncate(0)
                return {"input": images[positions], "label": positions}
        return original(self, positions)

    Split.gather = gather
