"""Augmentation: what is done to the images of a batch while training.

It is part of the compiled step and a function of the seed, the step and the
place of an example in the global batch. To add an augmentation of single
images, write its function in `images.py` and a field of the same name in
`options.py`.
"""

from research.augmentation.options import TTA, Augmentation
from research.augmentation.policies import POLICIES, FastAutoAugment, RandAugment, TrivialAugment

__all__ = ["POLICIES", "TTA", "Augmentation", "FastAutoAugment", "RandAugment", "TrivialAugment"]
