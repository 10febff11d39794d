"""Optimizers: typed options and the optax chains they stand for.

Every optimizer that is imported here can be chosen by its name: to add one,
write a file beside `adam.py` and import it with one line.
"""

from research.optimizers.adabelief import AdaBelief
from research.optimizers.adabound import AdaBound, AmsBound
from research.optimizers.adagrad import AdaGrad
from research.optimizers.adam import Adam, AdamW
from research.optimizers.base import Optimizer
from research.optimizers.lion import Lion
from research.optimizers.muon import Muon
from research.optimizers.radam import RAdam
from research.optimizers.rmsprop import RmsProp
from research.optimizers.schedule_free import ScheduleFreeAdam
from research.optimizers.sgd import Momentum, Nesterov, Sgd
from research.records import table

OPTIMIZERS = table(Optimizer, globals())
