"""Optimizers: typed options and the optax chains they stand for.

Every optimizer that is imported here can be chosen by its name: to add one,
write a file beside `adam.py` and import it with one line.
"""

from research.optimizers.adam import Adam, AdamW
from research.optimizers.base import Optimizer
from research.optimizers.sgd import Momentum, Nesterov, Sgd
from research.records import table

OPTIMIZERS = table(Optimizer, globals())
