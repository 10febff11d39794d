"""Handwritten digits that come with scikit-learn: 1,797 images of 8×8 pixels.

E. Alpaydin & C. Kaynak, "Optical Recognition of Handwritten Digits", UCI
Machine Learning Repository, 1998 (the repository's test part).
"""

from research.data.base import Data, Source
from research.records import record


@record
class Digits(Data):
    """The digits 0–9 in 17 grey levels; needs no download."""

    name: str = "digits"
    white = 16

    def open(self):
        import numpy as np
        from sklearn.datasets import load_digits

        from research.data.arrays import examples

        def read():
            digits = load_digits()
            images = digits.images.astype(np.uint8)[..., np.newaxis]
            return examples(images, digits.target.astype(np.int32))

        return Source(class_names=tuple("0123456789"), splits={"train": read})
