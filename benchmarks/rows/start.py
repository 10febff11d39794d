"""Seconds from the start of a process to its first training step, imports included."""

import functools
import os
import pathlib
import tempfile
from collections.abc import Iterator

from benchmarks.harness import Options, Turn, figures, scratch, seconds_until
from benchmarks.rows.programs import torch_command
from benchmarks.table import Table
from launch.flags import DEFAULT_CONFIG, load_config
from research.data.splits import open_dataset

CONFIGS = ("digits_mlp", "fashion_mnist_cnn")


def tables(options: Options) -> Iterator[Table]:
    """Yields the time to the first step of some of the configs that are shipped."""
    few = options._replace(turns=min(3, options.turns))
    for config in CONFIGS:
        found = figures(
            {
                "hanok, nothing compiled yet": functools.partial(hanok, config, warm=False),
                "hanok": functools.partial(hanok, config, warm=True),
                "torch": functools.partial(torch, config),
            },
            few,
        )
        title = f"From the start to the first step, configs/{config}.py"
        yield Table(title, "s", found, beside="torch", less_is_better=True)


def hanok(config: str, warm: bool) -> Turn:
    """The command as users type it; data is decoded already, as for the other."""
    open_dataset(_experiment(config).data)
    kept = _cache()

    def turn() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return seconds_until(
                lambda line: line.startswith("step 1/"),
                [
                    *("-m", "launch.train", f"--config={DEFAULT_CONFIG.parent / config}.py"),
                    *("--config.logging.every_steps=1", f"--workdir={folder}/run"),
                ],
                {"HANOK_CACHE_DIR": str(kept if warm else _cache())},
            )

    if warm:
        turn()
    return turn


def _cache() -> pathlib.Path:
    """Returns a new cache of the user's that holds decoded data alone."""
    from research.data.arrays import cache_root

    cache = scratch()
    (cache / "data").symlink_to((cache_root() / "data").absolute())
    return cache


def torch(config: str) -> Turn:
    """The same model, data and batch; the arrays are only to be read."""
    command = torch_command(_experiment(config))
    return lambda: seconds_until(lambda line: line.startswith("step 1/"), command)


def _experiment(config: str):
    return load_config(os.fspath(DEFAULT_CONFIG.parent / f"{config}.py"))
