"""SIGKILL at random moments, saves included."""

import functools
import pathlib
import random
import re
import time

from tests.faults import common


def kill_storm(rounds: int, folder: pathlib.Path, seed: int = 0) -> common.Table:
    """Kills one training `rounds` times, lets it end, and compares the result."""
    table = common.Table("SIGKILL at random moments")
    draw = random.Random(seed)
    # Long enough that the run does not end before the storm, and with one
    # checkpoint alone, so that none stands behind the newest.
    overrides = (f"--config.steps={2 * common.INTERVAL * rounds}", "--config.checkpoint.keep=1")
    path, steps = folder / "run", folder / "steps"
    most, interrupted = {False: 0, True: 0}, 0
    reached = 0
    for _ in range(rounds):
        process = common.Process(path, *overrides, fault=functools.partial(record_steps, steps))
        _wait(process, draw)
        process.kill()
        if process.ended().code == 0:
            table.outcomes["ended before the kill"] += 1
            break
        reached = max(reached, _last(steps))
        saved = max(common.complete(path), default=0)
        saving = any((path / "checkpoints").glob("*-tmp*"))
        interrupted += saving
        most[saving] = max(most[saving], reached - saved)
        training = "compiled" in process.output()
        table.outcomes["while training" if training else "before that"] += 1
        resumed = re.search(r"resuming after step (\d+)", process.output())
        if training and resumed and int(resumed[1]) > saved:
            table.wrong.append(f"step {resumed[1]} had been saved, and is lost")
    ended = common.finish(path, *overrides)
    expected = common.undisturbed(*overrides)
    table.wrong += [str(ended)] if ended.code else common.differences(expected, path)
    # What is being written when the process is killed is lost with it.
    for saving, bound in ((False, common.INTERVAL), (True, 2 * common.INTERVAL)):
        if most[saving] > bound:
            table.wrong.append(f"{most[saving]} steps repeated (a save in flight: {saving})")
    table.note = (
        f"at a save interval of {common.INTERVAL} steps at most {most[False]} were repeated, "
        f"{most[True]} where a save was in flight ({interrupted} times)"
    )
    return table


def record_steps(path: pathlib.Path) -> None:
    """Has a run note each step that it begins, such that a kill loses none."""
    from research import training

    original, file = training.train_batch, path.open("ab", buffering=0)

    def train_batch(split, global_batch_size, seed, step, sharding):
        file.write(step.to_bytes(8, "big"))
        return original(split, global_batch_size, seed, step, sharding)

    training.train_batch = train_batch


def _last(path: pathlib.Path) -> int:
    data = path.read_bytes() if path.exists() else b""
    return int.from_bytes(data[-8:], "big")


def _wait(process: common.Process, draw: random.Random) -> None:
    """Waits for a random moment: of the start, or of the first steps and saves."""
    if draw.random() < 0.2:
        time.sleep(draw.uniform(0, 1.5))
        return
    while process.alive() and "compiled" not in process.output():
        time.sleep(0.002)
    time.sleep(draw.uniform(0, 0.25))
