"""Seconds for which training stands still while its state is saved."""

import functools
import itertools
import os
import time
from collections.abc import Iterator

from benchmarks.harness import Options, Turn, figures, scratch
from benchmarks.table import Table
from benchmarks.torch_model import Layers
from benchmarks.work import WORKS

WORK = WORKS["mlp"]


def tables(options: Options) -> Iterator[Table]:
    """Yields the time that saving model and optimizer takes of training."""
    found = figures(
        {
            "hanok": hanok,
            "hanok, until it is on the disk": functools.partial(hanok, wait=True),
            "torch.save": torch,
            "torch.save, until it is on the disk": functools.partial(torch, wait=True),
        },
        options,
    )
    in_ms = {name: measured.times(1e3) for name, measured in found.items()}
    title = f"Training blocked by a checkpoint, {WORK.title}, Adam"
    yield Table(title, "ms", in_ms, beside="torch", less_is_better=True)


def hanok(wait: bool = False) -> Turn:
    """Copied from the devices, then written, with digests, while training goes on."""
    import jax

    from research.checkpoints import Checkpoints
    from research.experiment import timetable
    from research.program import make_program

    experiment, dataset = WORK.experiment(), WORK.dataset()
    program = make_program(experiment, timetable(experiment, len(dataset.train)), dataset)
    state = jax.block_until_ready(program.init())
    checkpoints = Checkpoints(scratch() / "checkpoints")
    numbers = itertools.count(1)

    def turn() -> float:
        checkpoints.wait()
        begun = time.perf_counter()
        checkpoints.save(next(numbers), state)
        if wait:
            checkpoints.wait()
        return time.perf_counter() - begun

    turn()
    return turn


def torch(wait: bool = False) -> Turn:
    """`torch.save` of model and optimizer into a file, as its tutorials do."""
    import torch

    dataset, experiment = WORK.dataset(), WORK.experiment()
    module = Layers.of(experiment).module(dataset.input_shape, len(dataset.class_names))
    optimizer = torch.optim.Adam(module.parameters())
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()  # which makes its memory
    path = scratch() / "checkpoint.pt"

    def turn() -> float:
        begun = time.perf_counter()
        state = {"model": module.state_dict(), "optimizer": optimizer.state_dict()}
        with open(path, "wb") as file:
            torch.save(state, file)
            if wait:
                file.flush()
                os.fsync(file.fileno())
        return time.perf_counter() - begun

    turn()
    return turn
