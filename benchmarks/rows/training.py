"""Training steps per second: beside others, beside nothing but the steps, and of many at once."""

import functools
from collections.abc import Iterator

from benchmarks.contenders import Hanok, bare_scan, contenders
from benchmarks.harness import Options, rates
from benchmarks.table import Table
from benchmarks.work import WORKS

REPLICAS = (1, 8, 16, 32, 128)


def works(options: Options) -> Iterator[Table]:
    """Yields the works, done by all."""
    for name in options.works:
        work = WORKS[name]
        found = rates(contenders(work), options)
        yield Table(f"{work.title}, Adam", "steps/s", found, beside="torch", with_memory=True)


def loop(options: Options) -> Iterator[Table]:
    """Yields what the loop costs: metrics, event files, progress and checkpoints."""
    for name in options.works:
        if name == "cnn":  # whose steps are too long for the loop to be seen
            continue
        work = WORKS[name]
        found = rates(
            {
                "bare jax scan": functools.partial(bare_scan, work),
                "hanok, checkpoints by the clock": functools.partial(Hanok, work),
                "hanok, a checkpoint every epoch": functools.partial(
                    Hanok, work, saves_epochs=True
                ),
            },
            options._replace(seconds=2 * options.seconds),  # it is about a few per cent
        )
        yield Table(f"The loop, {work.title}", "steps/s", found, beside="bare")


def replicas(options: Options) -> Iterator[Table]:
    """Yields populations of the tiny work, by the number of replicas."""
    work = WORKS["tiny"]
    counts = {f"hanok, {n} replica" + "s" * (n > 1): n for n in REPLICAS}
    found = rates(
        {
            name: functools.partial(Hanok, work, f"--config.population.seeds={count}")
            for name, count in counts.items()
        },
        options,
    )
    of_models = {name: measured.times(counts[name]) for name, measured in found.items()}
    yield Table(f"Replicas of {work.title}", "model-steps/s", of_models, beside="1 replica")
