"""Data: a name becomes three splits, and (seed, step) becomes a batch.

Every data set that is imported here can be chosen by its name: to add one,
write a file beside `digits.py` and import it with one line. Names that stand
for none of them are looked up in TensorFlow Datasets.
"""

from research.data.base import Data
from research.data.csv_table import Csv
from research.data.digits import Digits
from research.data.folder import ImageFolder
from research.data.logic import Logic
from research.data.playground import Playground
from research.data.tfds_images import TfdsImages
from research.records import table

DATASETS = table(Data, globals())
