"""Optimizers: typed options and the optax chains they stand for.

To add an optimizer, write one file beside `adam.py` and add one line to
`OPTIMIZERS`.
"""

from research.optimizers.adam import Adam, AdamW
from research.optimizers.base import Optimizer
from research.optimizers.sgd import Momentum, Nesterov, Sgd

OPTIMIZERS = {
    "sgd": Sgd,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adam": Adam,
    "adamw": AdamW,
}

__all__ = ["OPTIMIZERS", "Optimizer"]
