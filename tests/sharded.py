"""A short training on all devices there are, to be compared across their number.

JAX_NUM_CPU_DEVICES=8 python -m tests.sharded result.npz
"""

import sys

import jax
import numpy as np

from research.data.feeds import ResidentFeed, StreamedFeed
from research.evaluation import evaluate
from research.experiment import Evaluation, timetable
from research.models.cnn import Cnn
from research.optimizers.sgd import Momentum
from research.program import make_program
from research.sharding import path_name
from tests import tiny
from tests.batches import train_batch

STEPS = 5
EXPERIMENT = tiny.experiment(
    global_batch_size=16,
    model=Cnn(stages=((4,),), widths=(8,), batch_norm=True, dropout_rate=0.5),
    optimizer=Momentum(learning_rate=0.05, ema_decay=0.9),
    evaluation=Evaluation(global_batch_size=24),
)


def outcome() -> dict[str, np.ndarray]:
    """What was computed, and how it was placed.

    Returns:
      The leaves of "initial", the state before the first step, "first", the
      first batch and the state after it, "final", the last state, "metrics",
      the last ones, and of "validation"; of "batch", the last one, and "resident"
      and "streamed", the same by each feed; "devices" and "examples_per_device"; "held",
      the numbers of the training examples that each device had, step by step.
    """
    dataset = tiny.dataset()
    program = make_program(EXPERIMENT, timetable(EXPERIMENT, len(dataset.train)), dataset)
    state = program.init()
    found = named("initial", state)
    number_of = {image.tobytes(): i for i, image in enumerate(dataset.train.examples.inputs)}
    held: list[list[int]] = [[] for _ in range(program.mesh.size)]
    for step in range(STEPS):
        batch = train_batch(dataset.train, 16, 0, step, program.batch_sharding)
        for numbers, shard in zip(held, batch["input"].addressable_shards, strict=True):
            numbers += [number_of[np.asarray(image).tobytes()] for image in shard.data]
        state, metrics = program.train_step(state, batch)
        if step == 0:
            found |= named("first", {"batch": batch, "state": state})
    feeds = {
        "resident": ResidentFeed(dataset.train, 16, 0, program.mesh, most=2),
        "streamed": StreamedFeed(dataset.train, 16, 0, program.mesh, 2, STEPS, threads=1),
    }
    for name, feed in feeds.items():
        found |= named(name, jax.jit(feed.batch)(feed.take(STEPS - 2, 2), 1))
    result = evaluate(program.eval_step, state, dataset.validation, 24, program.batch_sharding)
    return {
        **found,
        **named("final", state),
        **named("metrics", metrics),
        **named("batch", batch),
        "validation/loss": np.asarray(result.loss),
        "validation/confusion": result.confusion,
        "devices": np.asarray(program.mesh.size),
        "held": np.asarray(held),
        "examples_per_device": np.asarray(batch["input"].addressable_shards[0].data.shape[0]),
    }


def named(prefix: str, tree) -> dict[str, np.ndarray]:
    """The leaves of a tree by their paths."""
    leaves = jax.tree.leaves_with_path(tree)
    return {f"{prefix}/{path_name(path)}": np.asarray(leaf) for path, leaf in leaves}


if __name__ == "__main__":
    np.savez(sys.argv[1], **outcome())
