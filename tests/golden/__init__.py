"""Runs that were stopped half way, kept as each version of Hanok wrote them.

`python -m tests.golden` adds those of the version at hand. They never change
afterwards: `tests/test_golden.py` has every later version read them and go on.
"""

import hashlib
import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).parent
EXPECTED = "expected.json"
STOPPED_AFTER = 7

COMMON = [
    "--config.steps=12",
    "--config.logging.every_steps=5",
    "--config.logging.tensorboard=false",
    "--config.evaluation.every_epochs=0.25",
    "--config.checkpoint.keep=1",
]
RUNS = {
    "mlp": [
        *COMMON,
        "--config.model.widths=(5,)",
        "--config.model.batch_norm=true",
        "--config.model.dropout_rate=0.25",
        "--config.optimizer.name=adamw",
        "--config.optimizer.ema_decay=0.5",
        "--config.optimizer.apply_if_finite=2",
    ],
    "cnn": [
        *COMMON,
        "--config.model.name=cnn",
        "--config.model.stages=((2,),(3,))",
        "--config.model.widths=(4,)",
        "--config.optimizer.name=nesterov",
        "--config.optimizer.accumulate_steps=2",
        "--config.optimizer.clip_norm=1",
        "--config.optimizer.schedule.name=one_cycle",
    ],
}
"""Every part of the training state is in one of them."""


def digests(arrays: dict[str, np.ndarray]) -> dict[str, str]:
    """Returns path -> digest of the bits of an array."""
    return {
        path: hashlib.blake2b(array.tobytes(), digest_size=16).hexdigest()
        for path, array in sorted(arrays.items())
    }
