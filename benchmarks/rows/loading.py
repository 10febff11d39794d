"""Shuffled batches of CIFAR-10, uint8 images with labels, from decoded arrays."""

import functools
import itertools
from collections.abc import Iterator

from benchmarks.contenders import Hanok
from benchmarks.harness import Options, Turn, Units, figures, rates
from benchmarks.table import Table
from benchmarks.work import WORKS, Work, arrays

BATCH = 128
WORK = Work("CIFAR-10", ("--config.data.name=cifar10", f"--config.global_batch_size={BATCH}"))
WORKERS = 2


def tables(options: Options) -> Iterator[Table]:
    """Yields how fast batches come, and how long training waits for them."""
    found = rates(
        {
            "hanok, resident": functools.partial(hanok, "resident"),
            "hanok, streamed": functools.partial(hanok, "streamed"),
            "torch DataLoader, 2 workers": functools.partial(torch, WORKERS),
            "torch DataLoader, no workers": functools.partial(torch, 0),
            "tf.data": tf_data,
        },
        options,
    )
    in_examples = {name: measured.times(BATCH) for name, measured in found.items()}
    title = f"Loading {WORK.title}, batches of {BATCH}"
    yield Table(title, "examples/s", in_examples, beside="2 workers")
    waiting = figures(
        {
            f"hanok, {source}": functools.partial(data_wait, source)
            for source in ("resident", "streamed")
        },
        options,
    )
    yield Table(f"Time that waits for data, {WORKS['mlp'].title}", "% of training", waiting)


def hanok(source: str) -> Units:
    """The feed of a run; each batch is made on the device."""
    import jax

    from research.experiment import timetable
    from research.feeding import open_feed
    from research.mesh import make_mesh

    experiment = WORK.experiment(
        f"--config.feeding.source={source}",
        f"--config.feeding.threads={WORKERS}",
        "--config.steps=1000000000",
    )
    train = WORK.dataset().train
    feed = open_feed(
        experiment, timetable(experiment, len(train)), train, make_mesh(experiment.mesh)
    )
    batch = jax.jit(feed.batch)
    made = 0

    def batches(count: int) -> None:
        nonlocal made
        end = made + count
        while made < end:
            steps = min(feed.capacity, end - made)
            taken = feed.take(made, steps)
            for index in range(steps):
                last = batch(taken, index)
            made += steps
        jax.block_until_ready(last)

    return batches


def torch(workers: int) -> Units:
    """Tensors in memory, of which each batch is taken at once, by workers that stay."""
    import torch
    from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

    images, labels = arrays(WORK.dataset().train)
    examples = TensorDataset(torch.from_numpy(images.copy()), torch.from_numpy(labels.copy()))
    loader = DataLoader(
        examples,
        sampler=BatchSampler(RandomSampler(examples), BATCH, drop_last=True),
        batch_size=None,  # the sampler has made batches already
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    return _drawn_from(itertools.chain.from_iterable(itertools.repeat(loader)))


def tf_data() -> Units:
    """Slices of tensors, shuffled whole, fetched ahead."""
    import tensorflow as tf

    images, labels = arrays(WORK.dataset().train)
    batches = (
        tf.data.Dataset.from_tensor_slices((images, labels))
        .shuffle(len(images))
        .repeat()
        .batch(BATCH, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )
    return _drawn_from(batches.as_numpy_iterator())


def data_wait(source: str, steps: int = 2000) -> Turn:
    """What a run says of itself: the share of its time for which devices wait."""
    run = Hanok(WORKS["mlp"], f"--config.feeding.source={source}")

    return lambda: 100 * run.train(steps)[1]["pace"]["data_wait"]


def _drawn_from(batches: Iterator) -> Units:
    def draw(count: int) -> None:
        for _ in itertools.islice(batches, count):
            pass

    return draw
