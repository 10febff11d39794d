"""Data: a name becomes three splits, and (seed, step) becomes a batch.

To add a data set, write one file beside `digits.py` and add one line to
`DATASETS`. Names that stand for no file are looked up in TensorFlow Datasets.
"""

from research.data.base import Data
from research.data.digits import Digits
from research.data.folder import ImageFolder
from research.data.tfds_images import TfdsImages

DATASETS = {
    "digits": Digits,
    "folder": ImageFolder,
}

__all__ = ["DATASETS", "Data", "TfdsImages"]
