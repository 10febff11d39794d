"""Patches of images: what they hold, and how their pixels go together."""

import jax
import numpy as np
import pytest

from research.data import patches as module
from research.data.patches import patch_covariance, patches
from research.models.airbench import Airbench
from research.models.whitening import EPSILON

IMAGES = np.random.default_rng(0).integers(0, 256, (70, 5, 4, 3), np.uint8)
MEAN, STD = np.float32([120, 100, 90]), np.float32([60, 70, 80])


def test_a_patch_is_a_window_by_row_column_and_channel():
    found = patches(IMAGES, 2)
    assert found.shape == (70 * 4 * 3, 12)
    np.testing.assert_array_equal(found[0], IMAGES[0, :2, :2].ravel())
    np.testing.assert_array_equal(found[-1], IMAGES[-1, -2:, -2:].ravel())
    np.testing.assert_array_equal(found[1], IMAGES[0, :2, 1:3].ravel())


def test_a_kernel_makes_of_the_patches_what_a_convolution_makes_of_the_image():
    kernel = np.random.default_rng(1).normal(size=(2, 2, 3, 5)).astype(np.float32)
    images = IMAGES.astype(np.float32)
    expected = jax.lax.conv_general_dilated(
        images, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    found = patches(images, 2) @ kernel.reshape(12, 5)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_covariance_is_that_of_all_normalised_patches(size):
    found = patch_covariance(IMAGES, np.arange(70), MEAN, STD, size)
    rows = patches((IMAGES - MEAN.astype(np.float64)) / STD, size)
    np.testing.assert_allclose(found, np.cov(rows.T, bias=True), atol=1e-12)


def test_of_many_images_some_from_the_beginning_to_the_end_of_the_split_are_looked_at(monkeypatch):
    monkeypatch.setattr(module, "MOST_PATCHES", 10 * 4 * 3)
    indices = np.arange(69, -1, -1)
    found = patch_covariance(IMAGES, indices, MEAN, STD, 2)
    monkeypatch.undo()
    expected = patch_covariance(IMAGES[69::-7], np.arange(10), MEAN, STD, 2)
    np.testing.assert_array_equal(found, expected)


def test_images_as_large_as_a_single_patch_have_one():
    assert patch_covariance(IMAGES, np.arange(70), MEAN, STD, 4).shape == (48, 48)


def test_whitened_patches_of_cifar10_are_uncorrelated_and_of_unit_variance(cifar10):
    kernel = Airbench().from_data(cifar10)["stem/kernel"]
    assert kernel.shape == (2, 2, 3, 24)
    some = np.arange(5000) * len(cifar10.train) // 5000
    images = cifar10.train.gather(some)["input"]
    whitened = patches((images - cifar10.mean) / cifar10.std, 2) @ kernel.reshape(12, 24)
    variances = np.linalg.eigvalsh(cifar10.patch_covariance(2))[::-1]
    # EPSILON takes something from the directions that hardly vary.
    expected = np.diag(variances / (variances + EPSILON))
    np.testing.assert_allclose(np.cov(whitened[:, :12].T), expected, atol=1e-3)
    assert expected.diagonal()[:6] == pytest.approx(1, abs=0.01)
    np.testing.assert_array_equal(whitened[:, 12:], -whitened[:, :12])
