"""A loss that is not a number at some step: the end of the run, or a step that is skipped."""

import functools
import pathlib
import random
from collections.abc import Callable
from typing import Any

from launch import cli
from tests.faults import common


def nan_at_a_step(cases: int, folder: pathlib.Path, seed: int = 0) -> common.Table:
    """Lets a random step take the logarithm of −1; stops there, or skips it."""
    table = common.Table("NaN at step s")
    draw = random.Random(seed)
    slowest = 0.0
    for case in range(cases):
        step = draw.randrange(1, 121)
        path = folder / str(case)
        fault = functools.partial(break_step, step)
        ended = common.finish(path, fault=fault)
        stopped = ended.code == cli.DIVERGED and f"number at step {step};" in ended.errors
        table.demand(stopped, "stopped, step named", str(ended))
        slowest = max(slowest, ended.seconds)
        late = [saved for saved in common.complete(path) if saved >= step]
        table.demand(not late, "checkpoints before it kept, none after it", f"step {late}")
        shown = common.finish(path, f"--step={step}", fault=fault, command="launch.replay")
        named = "first NaN: log in the loss (forward), tests/faults/nonfinite.py" in shown.output
        table.demand(named, "operation and place named by replay", f"{shown}{shown.output}")
        skipping = folder / f"{case}-skipped"
        ended = common.finish(skipping, "--config.optimizer.apply_if_finite=1", fault=fault)
        table.demand(ended.code == 0, "skipped where asked for, run finished", str(ended))
    table.note = f"ended at most {slowest:.0f} s after the start"
    return table


def break_step(bad_step: int, set_attribute: Callable[[Any, str, Any], None] = setattr) -> None:
    """Has a step of the run to come, counted from 1, lose its numbers.

    Args:
      bad_step: the step whose loss takes the logarithm of −1.
      set_attribute: sets an attribute of a module or class.
    """
    import jax.numpy as jnp

    from research import objectives, steps

    seen = []
    dropout_key, train = steps.dropout_key, objectives.Objective.train

    def noted(seed, step):
        seen.append(step)
        return dropout_key(seed, step)

    def broken(self, outputs, labels):
        spoilt = outputs + jnp.log(jnp.where(seen.pop() == bad_step - 1, -1.0, 1.0))
        return train(self, spoilt, labels)

    set_attribute(steps, "dropout_key", noted)
    set_attribute(objectives.Objective, "train", broken)
