"""Digits: scikit-learn's handwritten digits, which need no download."""

import numpy as np
import pytest

from research.data.digits import Digits
from research.data.splits import open_dataset


@pytest.fixture(scope="module")
def digits():
    return open_dataset(Digits())


def test_digits_are_images_of_8_by_8_pixels_in_17_grey_levels(digits):
    images = digits.train.examples.inputs
    assert images.shape == (1797, 8, 8, 1) and images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 16)
    assert digits.input_shape == (8, 8, 1)


def test_a_fifth_is_test_and_a_tenth_is_validation(digits):
    sizes = [len(split) for split in (digits.train, digits.validation, digits.read_test())]
    assert sizes == [1259, 179, 359]


def test_every_split_has_its_share_of_every_digit(digits):
    of_all = np.bincount(digits.train.examples.labels)
    for split, share in ((digits.validation, 0.1), (digits.read_test(), 0.2)):
        assert (np.abs(np.bincount(split.labels) - share * of_all) <= 1).all()
    assert digits.class_names == tuple("0123456789")


def test_splits_are_the_same_in_every_version(digits):
    # A change here means that figures of older versions can't be compared.
    assert digits.fingerprint == "3aff7daca8bde76659bef83271b6b967"


def test_images_look_like_their_labels(digits):
    def average(split, label):
        return split.gather(np.flatnonzero(split.labels == label))["input"].mean(0).ravel()

    # The nearest class average, a classifier without parameters to train.
    averages = np.stack([average(digits.train, label) for label in range(10)])
    test = digits.read_test().gather(np.arange(359))
    distances = np.linalg.norm(test["input"].reshape(359, 1, 64) - averages, axis=-1)
    assert (distances.argmin(1) == test["label"]).mean() > 0.85
