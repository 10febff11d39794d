"""Handwritten digits that come with scikit-learn: 1,797 images of 8×8 pixels.

E. Alpaydin & C. Kaynak, "Optical Recognition of Handwritten Digits", UCI
Machine Learning Repository, 1998 (the repository's test part).
"""

from research.data.base import Data, Source
from research.records import record

COUNT = 1797


@record
class Digits(Data):
    """The digits 0–9 in 17 grey levels; needs no download."""

    name: str = "digits"
    white = 16

    def open(self):
        import importlib.metadata

        from research.data.arrays import cached

        def decoded():
            from sklearn.datasets import load_digits  # a second, which the cache saves

            digits = load_digits()
            yield from zip(digits.images.astype("uint8")[..., None], digits.target, strict=True)

        def read():
            identity = ["digits", importlib.metadata.version("scikit-learn")]
            return cached(identity, decoded(), COUNT, (8, 8, 1))

        return Source(class_names=tuple("0123456789"), splits={"train": read})
