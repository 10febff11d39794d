"""The whitening kernel: what its formula says, and that equal data gives equal bits."""

import numpy as np
import pytest

from research.models.whitening import EPSILON, whitening_kernel

PIXELS = np.random.default_rng(0).normal(size=(1000, 12)) @ np.random.default_rng(1).normal(
    size=(12, 12)
)
COVARIANCE = np.cov(PIXELS.T, bias=True)


def filters(covariance, epsilon=EPSILON):
    """The kernel as a matrix, [pixels of a patch, filters]."""
    return whitening_kernel(covariance, 2, epsilon).reshape(12, 24)


def test_whitened_patches_have_the_identity_as_covariance():
    whitened = PIXELS @ filters(COVARIANCE, epsilon=0)[:, :12]
    np.testing.assert_allclose(np.cov(whitened.T, bias=True), np.eye(12), atol=1e-4)


def test_second_half_are_the_negatives_of_the_first():
    found = filters(COVARIANCE)
    np.testing.assert_array_equal(found[:, 12:], -found[:, :12])


def test_filters_are_eigenvectors_over_the_root_of_their_variance_and_epsilon():
    found = filters(COVARIANCE, epsilon=0.5)[:, :12].astype(np.float64)
    variances = np.linalg.eigvalsh(COVARIANCE)[::-1]
    np.testing.assert_allclose(COVARIANCE @ found, variances * found, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), (variances + 0.5) ** -0.5, rtol=1e-5)


def test_kernel_does_not_depend_on_the_signs_that_the_solver_returns(monkeypatch):
    expected = filters(COVARIANCE)
    solve = np.linalg.eigh

    def other_signs(matrix):
        variances, directions = solve(matrix)
        return variances, directions * np.resize([1, -1, -1], 12)

    monkeypatch.setattr(np.linalg, "eigh", other_signs)
    np.testing.assert_array_equal(filters(COVARIANCE), expected)


@pytest.mark.parametrize("variance", [0.0, -1e-17], ids=["none", "rounded below none"])
def test_pixels_that_never_change_give_finite_filters(variance):
    found = filters(np.diag([variance] * 6 + [1.0] * 6))
    assert np.isfinite(found).all()
    assert np.abs(found).max() == pytest.approx(EPSILON**-0.5)
