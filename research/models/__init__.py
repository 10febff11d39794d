"""Models: typed options and the pure functions they stand for.

Every model that is imported here can be chosen by its name: to add one, write
a file beside `mlp.py` and import it with one line.
"""

from research.models.airbench import Airbench
from research.models.base import Model
from research.models.cnn import Cnn
from research.models.mlp import Mlp
from research.models.perceptron import Perceptron
from research.models.resnet import ResNet
from research.records import table

MODELS = table(Model, globals())
