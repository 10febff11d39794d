"""SIGKILL at random moments, saves included."""

import functools
import pathlib
import random
import re
import time

from tests.faults import common

INTERVAL = 100
"""Steps between two checkpoints: some of the kills are to fall between two saves."""


def kill_storm(
    rounds: int, folder: pathlib.Path, seed: int = 0, waits: bool = False
) -> common.Table:
    """Kills one training `rounds` times, lets it end, and compares the result.

    A run repeats the steps since its newest complete checkpoint: at most an
    interval, and where a save was in flight when it was killed, which is lost
    with it, the interval before that, too; but never if training waits for saves.
    """
    how = "saves waited for" if waits else "saves beside the training"
    table = common.Table(f"SIGKILL at random moments, {how}")
    draw = random.Random(seed)
    # Long enough that the run does not end before the storm, and with one
    # checkpoint alone, so that none stands behind the newest.
    overrides = (
        f"--config.steps={2 * INTERVAL * rounds}",
        f"--config.checkpoint.every_steps={INTERVAL}",
        "--config.checkpoint.keep=1",
        f"--config.checkpoint.wait={waits}",
        "--config.feeding.steps_at_once=10",
        # Else a checkpoint is saved whenever one is the best so far.
        "--config.evaluation.every_epochs=1000",
    )
    path, notes = folder / "run", folder / "notes"
    notes.mkdir()
    repeated = {False: 0, True: 0}
    for _ in range(rounds):
        # One that is killed before it takes any is not to be judged by another's.
        for note in notes.iterdir():
            note.unlink()
        process = common.Process(path, *overrides, fault=functools.partial(take_notes, notes))
        _wait(process, notes, draw)
        process.kill()
        if process.ended().code == 0:
            table.outcomes["ended before the kill"] += 1
            break
        found = re.search(r"resuming after step (\d+)", process.output())
        resumed = int(found[1]) if found else 0
        reached, saved = _last(notes / "steps"), max(common.complete(path), default=0)
        begun = max(_last(notes / "saves"), resumed)
        in_flight = begun > saved
        repeated[in_flight] = max(repeated[in_flight], reached - saved)
        lost = reached - saved if waits else max(reached - begun, begun - saved)
        if lost > INTERVAL or resumed > saved:
            table.wrong.append(
                f"resumed at {resumed}, killed at {reached} with the save of {begun} begun and "
                f"that of {saved} complete"
            )
        if "compiled" not in process.output():
            table.outcomes["while starting"] += 1
        else:
            table.outcomes["with a save in flight" if in_flight else "between two saves"] += 1
    ended = common.finish(path, *overrides)
    expected = common.undisturbed(*overrides)
    table.wrong += [str(ended)] if ended.code else common.differences(expected, path)
    table.note = (
        f"saved every {INTERVAL} steps, at most {repeated[False]} steps were repeated, "
        f"{repeated[True]} where a save was in flight"
    )
    return table


def take_notes(folder: pathlib.Path) -> None:
    """Has a run note each step that it begins and each save, so that a kill loses none."""
    from research import training
    from research.checkpoints import Checkpoints

    steps, saves = ((folder / name).open("wb", buffering=0) for name in ("steps", "saves"))
    original_advance, original_save = training.Run._advance, Checkpoints.save

    def advance(self, train_steps, ahead):
        steps.write((self.step + ahead.steps - 1).to_bytes(8, "big"))
        return original_advance(self, train_steps, ahead)

    def save(self, step, state, score=None):
        self.wait()  # as `save` does, so that what is noted is the save that begins
        saves.write(step.to_bytes(8, "big"))
        return original_save(self, step, state, score)

    training.Run._advance, Checkpoints.save = advance, save


def _last(path: pathlib.Path) -> int:
    data = path.read_bytes() if path.exists() else b""
    return int.from_bytes(data[-8:], "big")


def _wait(process: common.Process, notes: pathlib.Path, draw: random.Random) -> None:
    """Waits for a random moment: of the start, or of the first steps and saves."""
    if draw.random() < 0.2:
        time.sleep(draw.uniform(0, 1.5))
        return
    process.wait_for("compiled")
    last = _last(notes / "steps") + draw.randrange(3 * INTERVAL)
    while process.alive() and _last(notes / "steps") < last:
        time.sleep(0.001)
    time.sleep(draw.uniform(0, 0.05))
