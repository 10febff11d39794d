"""SIGKILL at random moments, saves included."""

import pathlib
import random
import re
import subprocess
import time

from tests.faults import common


def kill_storm(rounds: int, folder: pathlib.Path, seed: int = 0) -> common.Table:
    """Kills one training up to `rounds` times, lets it end, and compares the result."""
    table = common.Table("SIGKILL at random moments")
    draw = random.Random(seed)
    undisturbed, stormy = folder / "undisturbed", folder / "stormy"
    # Long enough that the run does not end before the storm.
    steps = f"--config.steps={20 * rounds}"
    subprocess.run(common.command(undisturbed, steps), check=True, stdout=subprocess.DEVNULL)
    reached, repeated = 0, 0
    for _ in range(rounds):
        log = folder / "log"
        with log.open("w") as output:
            process = subprocess.Popen(common.command(stormy, steps), stdout=output)
            # First of all the time to start, then a moment in some ten steps or saves.
            while process.poll() is None and "compiled" not in log.read_text():
                if draw.random() < 0.003:
                    break
                time.sleep(0.01)
            time.sleep(draw.uniform(0, 0.12))
            process.kill()
            process.wait()
        text = log.read_text()
        resumed = re.search(r"resuming after step (\d+)", text)
        if resumed:
            repeated = max(repeated, reached - int(resumed[1]))
        shown = re.findall(r"^step (\d+)/", text, re.MULTILINE)
        reached = max([reached, *map(int, shown)])
        if process.returncode == 0:
            table.outcomes["finished before the kill"] += 1
            break
        table.outcomes["killed while training" if "compiled" in text else "killed at start"] += 1
    subprocess.run(common.command(stormy, steps), check=True, stdout=subprocess.DEVNULL)
    table.wrong += common.differences(undisturbed, stormy)
    interval = 20
    # A save in flight is lost with the process, so that two intervals are the bound.
    if repeated > 2 * interval:
        table.wrong.append(f"{repeated} steps were repeated")
    table.note = f"at most {repeated} logged steps repeated at a save interval of {interval}"
    return table
