"""The lessons of the course: each file's `get_config()` trains, its `LESSON` shows something."""

import pathlib

LESSONS = (
    "xor",
    "spiral",
    "vanishing_gradient",
    "initialisation",
    "optimizers",
    "batch_norm",
    "sparsity",
    "dropout",
    "imbalance",
    "mixing",
    "transfer",
)
"""Their names, in the order in which they build on one another."""


def path(name: str) -> pathlib.Path:
    """Returns the config file of a lesson."""
    return pathlib.Path(__file__).parent / f"{name}.py"
