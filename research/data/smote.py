"""SMOTE: small classes of a table are filled up with rows between their own."""

import functools

import numpy as np

from research.data.arrays import examples
from research.data.base import Examples, Source, Table
from research.errors import UserError


def with_synthetic_rows(
    inputs: np.ndarray,
    labels: np.ndarray,
    mean: np.ndarray,
    std: np.ndarray,
    source: Source,
    options: Table,
) -> Examples:
    """Returns rows and, after them, made-up ones of all classes but the largest.

    Every class is brought to the size of the largest. A made-up row lies at
    random between a real one and one of its nearest neighbours of the same class
    (SMOTE, Chawla et al. 2002, arXiv:1106.1813); a category of it is the one that
    most of the neighbours have (SMOTE-NC). Distances are those of standardised
    columns. The same rows and seed give the same result.

    Args:
      inputs: those of the training split alone, float32 [rows, columns].
      labels: theirs, int32 [rows].
      mean, std: their statistics, float32 [columns].
      source: says which columns hold categories, and what the classes are called.
      options: how many neighbours there are to choose from, and the seed.

    Raises:
      UserError: if a class has too few rows to have so many neighbours.
    """
    neighbors, categories = options.smote_neighbors, source.categories
    counts = np.bincount(labels)
    for label in np.flatnonzero((counts > 0) & (counts <= neighbors) & (counts < counts.max())):
        raise UserError(
            f"config.data.smote_neighbors: class {source.class_names[label]!r} has "
            f"{counts[label]} rows in train; SMOTE with {neighbors} neighbours needs "
            f"{neighbors + 1} of every class. Use fewer, or config.data.balance=sampling"
        )
    standard = (inputs.astype(np.float64) - mean) / std
    one_hot = [column for group in categories for column in group]
    numbers = np.setdiff1d(np.arange(standard.shape[1]), one_hot)
    codes = [inputs[:, group].argmax(axis=1) for group in categories]
    rows = np.column_stack([standard[:, numbers], *codes])
    smote = _smote(len(numbers), len(codes))(k_neighbors=neighbors, random_state=options.split_seed)
    resampled, labels_of_all = smote.fit_resample(rows, labels)
    made = resampled[len(rows) :]
    synthetic = np.zeros((len(made), inputs.shape[1]))
    synthetic[:, numbers] = made[:, : len(numbers)] * std[numbers] + mean[numbers]
    for group, code in zip(categories, made[:, len(numbers) :].T.astype(int), strict=True):
        synthetic[:, group] = np.eye(len(group))[code]
    return examples(
        np.concatenate([inputs, synthetic.astype(np.float32)]), labels_of_all.astype(np.int32)
    )


def _smote(numbers: int, codes: int):
    """Returns the variant for rows of so many numbers, followed by codes of categories."""
    from imblearn import over_sampling

    if not codes:
        return over_sampling.SMOTE
    if not numbers:
        return over_sampling.SMOTEN
    columns = list(range(numbers, numbers + codes))
    return functools.partial(over_sampling.SMOTENC, categorical_features=columns)
