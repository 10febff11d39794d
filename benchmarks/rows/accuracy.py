"""Seconds from the start of a process to an accuracy, evaluated after each epoch."""

import functools
import re
import tempfile
from collections.abc import Iterator

from benchmarks.harness import Options, Turn, figures, seconds_until
from benchmarks.rows.programs import torch_command
from benchmarks.table import Table
from benchmarks.work import WORKS

GOAL = 0.90
WORK = WORKS["cnn"]


def tables(options: Options) -> Iterator[Table]:
    """Yields the time until `GOAL` on the validation split of Fashion-MNIST."""
    found = figures(
        {
            "hanok": hanok,
            "torch": torch,
            "torch channels_last": functools.partial(torch, channels_last=True),
        },
        options._replace(turns=min(3, options.turns)),
    )
    title = f"From the start to {GOAL:.2f} on Fashion-MNIST's validation split, {WORK.title}"
    yield Table(title, "s", found, beside="torch", less_is_better=True)


def hanok() -> Turn:
    """The command as users type it."""
    WORK.dataset()  # decoded once

    def turn() -> float:
        with tempfile.TemporaryDirectory() as folder:
            flags = WORK.flags("--config.evaluation.every_epochs=1", f"--workdir={folder}/run")
            return seconds_until(_reached, ["-m", "launch.train", *flags])

    return turn


def torch(channels_last: bool = False) -> Turn:
    """The same model, data, batch and optimizer; the arrays are only to be read."""
    command = torch_command(WORK.experiment(), channels_last)
    return lambda: seconds_until(_reached, command)


def _reached(line: str) -> bool:
    found = re.search(r"validation +accuracy (\d\.\d+)", line)
    return bool(found) and float(found[1]) >= GOAL
