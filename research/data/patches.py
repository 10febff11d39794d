"""The small patches that images are made of, and how their pixels go together."""

import numpy as np

MOST_PATCHES = 5000 * 31**2
"""Those of 2×2 pixels in 5,000 images of 32×32."""

_IMAGES_AT_ONCE = 32  # so that a core's cache holds their patches


def patches(images: np.ndarray, size: int) -> np.ndarray:
    """Returns all patches of size × size pixels, one a row, by row, column and channel.

    Args:
      images: [n, height, width, channels].
      size: height and width of a patch; none reaches over the border.

    Returns:
      [n · (height − size + 1) · (width − size + 1), size² · channels].
    """
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    by_row = windows.transpose(0, 1, 2, 4, 5, 3)
    return by_row.reshape(-1, size**2 * images.shape[-1])


def patch_covariance(
    images: np.ndarray, indices: np.ndarray, mean: np.ndarray, std: np.ndarray, size: int
) -> np.ndarray:
    """Returns the covariance of the pixels of normalised patches, float64 [d, d].

    d = size² · channels. Not all images are looked at, and of large ones fewer: so many,
    evenly spread, that there are `MOST_PATCHES`.

    Args:
      images: uint8 [n, height, width, channels], in memory or memory-mapped.
      indices: int64 [m], which of them, in this order.
      mean, std: statistics by which channels are normalised, [channels].
      size: height and width of a patch.
    """
    _, height, width, channels = images.shape
    most = max(1, MOST_PATCHES // ((height - size + 1) * (width - size + 1)))
    # From beginning to end: images may be sorted by class.
    chosen = indices[np.arange(min(most, len(indices))) * len(indices) // min(most, len(indices))]
    count, total = 0, np.zeros(size**2 * channels)
    products = np.zeros((size**2 * channels,) * 2)
    for start in range(0, len(chosen), _IMAGES_AT_ONCE):
        some = images[chosen[start : start + _IMAGES_AT_ONCE]]
        rows = patches((some - mean.astype(np.float64)) / std, size)
        count += len(rows)
        total += rows.sum(axis=0)
        products += rows.T @ rows
    return products / count - np.outer(total, total) / count**2
