"""Models: typed options and the pure functions they stand for.

To add a model, write one file beside `mlp.py` and add one line to `MODELS`.
"""

from research.models.base import Model
from research.models.cnn import Cnn
from research.models.mlp import Mlp

MODELS = {
    "mlp": Mlp,
    "cnn": Cnn,
}

__all__ = ["MODELS", "Model"]
