"""Damage to every file of the newest checkpoint, in every way."""

import pathlib
import shutil

import jax
import numpy as np

from research.checkpoints import Checkpoints
from research.data.splits import open_dataset
from research.errors import UserError
from research.experiment import timetable
from research.program import make_program
from tests.faults import common
from tests.runs import experiment


def truncate(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zero(path: pathlib.Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def flip(path: pathlib.Path) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[len(data) // 2] ^= 1
    path.write_bytes(data)


WAYS = {"truncated": truncate, "zeroed": zero, "removed": pathlib.Path.unlink, "bit flipped": flip}


def damaged_files(folder: pathlib.Path) -> common.Table:
    """Damages each file of the newest checkpoint in each way, and restores."""
    table = common.Table("damaged checkpoint files")
    original = common.undisturbed()
    chosen = experiment(*common.OVERRIDES)
    dataset = open_dataset(chosen.data)
    shapes = make_program(chosen, timetable(chosen, len(dataset.train)), dataset).state_shapes
    checkpoints = Checkpoints(original / "checkpoints", read_only=True)
    states = {step: checkpoints.restore(step, shapes) for step in checkpoints.steps()}
    newest = common.newest(original)
    for file in sorted(newest.rglob("*")):
        if not file.is_file():
            continue
        for way, harm in WAYS.items():
            copy = folder / "copy"
            shutil.copytree(original, copy)
            harm(copy / file.relative_to(original))
            outcome = _restore(copy, shapes, states, int(newest.name))
            table.demand(
                outcome != "silent change", outcome, f"{file.relative_to(newest)} was {way}"
            )
            shutil.rmtree(copy)
    return table


def _restore(copy: pathlib.Path, shapes, states, newest: int) -> str:
    try:
        damaged = Checkpoints(copy / "checkpoints", keep=2)
        step = damaged.newest_valid()
        state = damaged.restore(step, shapes)
        damaged.close()
    except UserError:
        return "refused"
    if not jax.tree.all(jax.tree.map(np.array_equal, state, states[step])):
        return "silent change"
    if step == newest:
        return "no change (notes of the commit, which hold nothing of the state)"
    return "recovered from the one before"
