"""SIGTERM in every phase of a run."""

import os
import pathlib
import signal
import subprocess
import sys

from launch import cli, train
from tests.faults import common

PHASES = ("import", "data", "compile", "train", "eval", "save", "commit")


def sigterm_matrix(folder: pathlib.Path, phases=PHASES) -> common.Table:
    """Stops a run in each phase, resumes it, and compares the result."""
    table = common.Table("SIGTERM in every phase")
    undisturbed = folder / "calm"
    common.run_undisturbed(undisturbed)
    for phase in phases:
        path = folder / phase
        argv = common.command(path)[3:]
        stopped = subprocess.run(
            [sys.executable, "-m", "tests.faults.stops", phase, *argv],
            capture_output=True,
            text=True,
        )
        if stopped.returncode != cli.STOPPED:
            table.wrong.append(f"{phase}: exit code {stopped.returncode}: {stopped.stderr}")
            continue
        subprocess.run(common.command(path), check=True, stdout=subprocess.DEVNULL)
        table.wrong += [f"{phase}: {line}" for line in common.differences(undisturbed, path)]
        table.outcomes["stopped with code 75 and resumed"] += 1
    return table


def main(phase: str, argv: list[str]) -> None:
    """Runs launch.train in a process that sends itself SIGTERM in a phase."""
    if phase == "import":
        import launch.flags as module

        name = "parse_experiment"
    else:
        import research.checkpoints
        import research.evaluation
        import research.training

        module, name = {
            "data": (research.training, "open_dataset"),
            "compile": (research.training, "compile_train_step"),
            "train": (research.training, "train_batch"),
            "eval": (research.evaluation, "evaluate"),
            "save": (research.checkpoints.Checkpoints, "save"),
            "commit": (research.checkpoints.manifest, "write"),
        }[phase]
    original, calls = getattr(module, name), []

    def disturbed(*args, **kwargs):
        calls.append(name)
        if len(calls) == (30 if phase == "train" else 1):
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*args, **kwargs)

    setattr(module, name, disturbed)
    cli.run(lambda _: train.main(argv))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
