"""The kernel of a convolution that whitens patches of images."""

import numpy as np

EPSILON = 5e-4
"""Added to variances, so that directions that hardly vary are not blown up to noise."""


def whitening_kernel(covariance: np.ndarray, size: int, epsilon: float = EPSILON) -> np.ndarray:
    """Returns the principal directions of patches, scaled to unit variance, and their negatives.

    With v an eigenvector of the covariance and λ its eigenvalue, filters are
    ±v/√(λ + ε), those of the largest λ first: what comes out of the first half is
    uncorrelated and of variance λ/(λ + ε), and the other half lets an activation
    that cuts off negative values lose nothing (arXiv:2404.00498, section 3.2).

    Args:
      covariance: that of the pixels of patches, float64 [d, d], d = size² · channels.
      size: height and width of a patch.
      epsilon: ε.

    Returns:
      float32 [size, size, channels, 2d]. It is computed in float64, and of each
      direction the sign is chosen, so that equal images give equal kernels.
    """
    variances, directions = np.linalg.eigh(covariance)
    variances, directions = variances[::-1], directions[:, ::-1]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=0)[None], axis=0)
    # Rounding may leave a variance of 0 just below it.
    filters = np.sign(largest) * directions / np.sqrt(np.maximum(variances, 0) + epsilon)
    both = np.concatenate([filters, -filters], axis=1)
    return both.reshape(size, size, -1, both.shape[1]).astype(np.float32)
