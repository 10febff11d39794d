"""Parts of a data set: some of its classes, a share of what there is to train on."""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from research.data.arrays import DIGEST_BYTES
from research.data.base import Data, Examples
from research.data.draws import shuffled
from research.errors import UserError, suggestion

LEFT_OUT = -1
"""The label of examples of classes that are not told apart."""


def class_names(data: Data, known: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of the classes that are told apart, in their order.

    Raises:
      UserError: if the options name a class that the data does not have.
    """
    _check_known(data.classes, known, "config.data.classes")
    names = data.classes or tuple(known)
    _check_known([name for name, _ in data.class_fractions], names, "config.data.class_fractions")
    return names


def relabelled(examples: Examples, known: Sequence[str], names: Sequence[str]) -> Examples:
    """Returns examples whose labels are positions in `names`, in place of `known`.

    Those of other classes are `LEFT_OUT`; the inputs stay where they are.
    """
    if tuple(names) == tuple(known):
        return examples
    places = {name: place for place, name in enumerate(names)}
    labels = np.array([places.get(name, LEFT_OUT) for name in known], np.int32)[examples.labels]
    text = repr((examples.fingerprint, tuple(known), tuple(names)))
    digest = hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()
    return dataclasses.replace(examples, labels=labels, fingerprint=digest)


def thinned(labels: np.ndarray, data: Data, names: Sequence[str]) -> np.ndarray:
    """Returns which of some training examples stay, bool [n].

    Of every class the share that the options say stays, at least one example; a
    smaller share is part of a larger one.

    Args:
      labels: positions in `names`, int32 [n]; of numbers to be predicted, float32.
      data: the options.
      names: the classes; () for numbers.
    """
    fractions = dict(data.class_fractions)
    if data.train_fraction == 1 and not fractions:
        return np.ones(len(labels), bool)
    strata = labels if names else np.zeros(len(labels), np.int32)
    stays = np.zeros(len(labels), bool)
    for label in np.unique(strata):
        members = np.flatnonzero(strata == label)
        fraction = fractions.get(names[label] if names else "", data.train_fraction)
        count = max(1, round(fraction * len(members)))
        # Cuts of splits are decided by keys below 2**32.
        order = shuffled(len(members), data.split_seed, int(label) + (1 << 32))
        stays[members[order[:count]]] = True
    return stays


def _check_known(names: Sequence[str], known: Sequence[str], path: str) -> None:
    for name in names:
        if name not in known:
            raise UserError(
                f"{path}: the data has no class {name!r}.{suggestion(name, known)}\n"
                f"Its classes: {', '.join(known) or 'none, but numbers to be predicted'}"
            )
