"""What all kinds of faults share: runs, their results, and the table of outcomes."""

import collections
import dataclasses
import pathlib
import subprocess
import sys

import jax
import numpy as np

from tests.runs import experiment, final_state

OVERRIDES = [
    "--config.steps=400",
    "--config.model.widths=(64,)",
    "--config.logging.every_steps=10",
    "--config.checkpoint.every_steps=20",
    "--config.optimizer.ema_decay=0.9",
]


@dataclasses.dataclass
class Table:
    """How often a kind of fault ended how.

    Attributes:
      name: the fault.
      outcomes: outcome -> number of cases.
      wrong: what must not happen but did, one line each.
      note: a measured bound.
    """

    name: str
    outcomes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    wrong: list[str] = dataclasses.field(default_factory=list)
    note: str = ""

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count} {name}" for name, count in self.outcomes.items())
        verdict = "; ".join(["WRONG: " + line for line in self.wrong]) or "0 wrong"
        cases = sum(self.outcomes.values())
        return f"{self.name}: {cases} cases: {outcomes}; {verdict}{self.note and '; ' + self.note}"


def command(path: pathlib.Path, *overrides: str) -> list[str]:
    """Returns the command line of a run in `path`."""
    return [sys.executable, "-m", "launch.train", f"--workdir={path}", *OVERRIDES, *overrides]


def run_undisturbed(path: pathlib.Path) -> None:
    """Trains in `path` to the end."""
    subprocess.run(command(path), check=True, stdout=subprocess.DEVNULL)


def differences(expected: pathlib.Path, found: pathlib.Path) -> list[str]:
    """Returns in what two finished runs differ, bit for bit; [] if in nothing."""
    lines = []
    chosen = experiment(*OVERRIDES)
    states = [final_state(chosen, path) for path in (expected, found)]
    names = [jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(states[0])]
    for name, *leaves in zip(names, *map(jax.tree.leaves, states), strict=True):
        if not np.array_equal(*leaves):
            lines.append(f"{name} differs")
    metrics = [(path / "metrics.jsonl").read_text() for path in (expected, found)]
    if metrics[0] != metrics[1]:
        lines.append("metrics.jsonl differs")
    return lines
