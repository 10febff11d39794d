"""Evaluating a state on a split: every example counts exactly once."""

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import jax
import numpy as np
from jax.sharding import Sharding

from research import processes
from research.data.feed import evaluation_batches
from research.data.splits import Split
from research.state import Normalization, TrainState, averaged

SHOWN_AS = {"accuracy": "accuracy", "r2": "R²", "mse": "MSE", "mae": "MAE", "loss": "loss"}
"""Name of a measure in files -> on the screen, in this order."""

OF_ANY_SIZE = ("mse", "mae")
"""Measures in the unit of the data."""


@dataclasses.dataclass(frozen=True)
class Measured(abc.ABC):
    """What was measured on a split.

    Attributes:
      loss: mean over the examples of the experiment's loss.
      measure: name of what the best checkpoint is chosen by; more is better.
    """

    loss: float
    measure: ClassVar[str]

    @property
    @abc.abstractmethod
    def examples(self) -> int:
        """How many examples were evaluated."""

    @abc.abstractmethod
    def values(self) -> dict[str, float]:
        """Returns what stands in a line of metrics, by name."""

    @abc.abstractmethod
    def as_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Returns what stands in a summary."""

    @property
    def score(self) -> tuple[float, float]:
        """(The measure, −loss): the larger, the better."""
        return self.values()[self.measure], -self.loss

    def headline(self) -> str:
        """Returns the measure as people read it."""
        return f"{SHOWN_AS[self.measure]} {self.values()[self.measure]:.4f}"

    def text(self, separator: str = "  ") -> str:
        """Returns the values as people read them."""
        values = self.values()
        return separator.join(
            f"{shown} {values[name]:{'.5g' if name in OF_ANY_SIZE else '.4f'}}"
            for name, shown in SHOWN_AS.items()
            if name in values
        )


@dataclasses.dataclass(frozen=True)
class Result(Measured):
    """What was measured on examples of classes.

    Attributes:
      confusion: int64 [classes, classes]; entry [i, j] counts the examples of
        class i that were taken for class j.
    """

    confusion: np.ndarray
    measure = "accuracy"

    @property
    def examples(self) -> int:
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Share of the examples whose class was found."""
        return int(np.trace(self.confusion)) / self.examples

    def values(self) -> dict[str, float]:
        return {"loss": self.loss, "accuracy": self.accuracy}

    def by_class(self, class_names: Sequence[str]) -> dict[str, dict[str, float | int | None]]:
        """Returns precision, recall, F1 and number of examples of each class.

        They are None where they would be parts of nothing: the precision of a
        class that nothing was taken for, the recall of one without examples.
        """
        found = np.diag(self.confusion)
        predicted, true = self.confusion.sum(axis=0), self.confusion.sum(axis=1)
        return {
            name: {
                "precision": _share(found[i], predicted[i]),
                "recall": _share(found[i], true[i]),
                "f1": _share(2 * found[i], predicted[i] + true[i]),
                "examples": int(true[i]),
            }
            for i, name in enumerate(class_names)
        }

    def as_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Returns what stands in a summary: F1's mean over the classes is "macro_f1"."""
        classes = self.by_class(class_names)
        scores = [scores["f1"] for scores in classes.values() if scores["f1"] is not None]
        return {
            "loss": self.loss,
            "accuracy": self.accuracy,
            "examples": self.examples,
            "macro_f1": sum(scores) / len(scores),
            "classes": classes,
        }


@dataclasses.dataclass(frozen=True)
class NumbersResult(Measured):
    """What was measured on examples with numbers to be predicted.

    Attributes:
      mse: mean of the squared errors, in the square of the numbers' unit.
      mae: mean of the absolute errors, in their unit.
      r2: share of their variance on the split that the predictions explain, R².
      count: how many examples were evaluated.
    """

    mse: float
    mae: float
    r2: float
    count: int
    measure = "r2"

    @property
    def examples(self) -> int:
        return self.count

    def values(self) -> dict[str, float]:
        return {"loss": self.loss, "mse": self.mse, "mae": self.mae, "r2": self.r2}

    def as_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        del class_names  # there are none
        return {**self.values(), "examples": self.count}


def evaluate(
    eval_step: Callable[[TrainState, dict[str, jax.Array]], dict[str, jax.Array]],
    state: TrainState,
    split: Split,
    global_batch_size: int,
    sharding: Sharding,
) -> Measured:
    """Evaluates a state on all examples of a split.

    Args:
      eval_step: the compiled evaluation step.
      state: the state to evaluate.
      split: the examples.
      global_batch_size: examples per step; the result does not depend on it
        but for the rounding of the loss.
      sharding: where batches go.
    """
    totals = sums_over(eval_step, state, split, global_batch_size, sharding)
    return measured(totals, split, state.normalization)


def sums_over(
    eval_step: Callable[[TrainState, dict[str, jax.Array]], dict[str, jax.Array]],
    state: TrainState,
    split: Split,
    global_batch_size: int,
    sharding: Sharding,
) -> dict[str, np.ndarray]:
    """Returns what the evaluation steps give, added up over a split; see `evaluate`."""
    totals: dict[str, Any] = {}
    unfetched = []

    def add(fetched: Sequence[dict[str, np.ndarray]]) -> None:
        for sums in fetched:
            for name, value in sums.items():
                # Wide enough for any number of batches.
                wide = np.int64 if np.issubdtype(np.asarray(value).dtype, np.integer) else float
                totals[name] = totals.get(name, 0) + np.asarray(value, wide)

    for batch in evaluation_batches(split, global_batch_size, sharding):
        unfetched.append(eval_step(state, batch))
        # One step late, so that the devices always have the next one to do.
        add(jax.device_get(processes.computed(unfetched[:-1])))
        del unfetched[:-1]
    add(jax.device_get(processes.computed(unfetched)))
    return totals


def measured(
    totals: Mapping[str, np.ndarray], split: Split, normalization: Normalization
) -> Measured:
    """Returns what the sums over a split say.

    Args:
      totals: what `sums_over` returned.
      split: the examples.
      normalization: has the unit of numbers that are predicted.
    """
    loss = float(totals["loss"]) / len(split)
    if "confusion" in totals:
        return Result(loss=loss, confusion=totals["confusion"])
    mse = loss * float(jax.device_get(normalization.target_std)) ** 2
    mae = float(totals["absolute_error"]) / len(split)
    variance = float(split.labels.astype(np.float64).var())
    # As scikit-learn where all numbers are equal: 1 if they are met, else 0.
    r2 = 1 - mse / variance if variance else float(mse == 0)
    return NumbersResult(loss=loss, mse=mse, mae=mae, r2=r2, count=len(split))


def evaluate_with_average(
    eval_step: Callable[[TrainState, dict[str, jax.Array]], dict[str, jax.Array]],
    state: TrainState,
    split: Split,
    name: str,
    global_batch_size: int,
    sharding: Sharding,
) -> dict[str, Measured]:
    """Evaluates the parameters and, where it is kept, their average.

    Returns:
      Results by name: `name`, then `name`_average.
    """
    return {
        key: evaluate(eval_step, value, split, global_batch_size, sharding)
        for key, value in with_average(state, name).items()
    }


def with_average(state: TrainState, name: str) -> dict[str, TrainState]:
    """Returns the states that are evaluated: `name` and, where it is kept, `name`_average."""
    states = {name: state}
    if state.average:
        states[f"{name}_average"] = averaged(state)
    return states


def confusion_table(result: Result, class_names: tuple[str, ...]) -> str:
    """Returns the confusion matrix as text, with precision, recall and F1 per class."""
    width = max(5, len(str(result.confusion.max())) + 1)
    label_width = max(len(name) for name in class_names)
    head = " " * label_width + "".join(f"{name[: width - 1]:>{width}}" for name in class_names)
    lines = [f"rows: true class, columns: predicted class\n{head}  recall    F1"]
    classes = result.by_class(class_names)
    for (name, scores), row in zip(classes.items(), result.confusion, strict=True):
        cells = "".join(f"{count:>{width}}" for count in row)
        shares = f"{_rounded(scores['recall']):>8}{_rounded(scores['f1']):>6}"
        lines.append(f"{name:>{label_width}}{cells}{shares}")
    precisions = [_rounded(scores["precision"]) for scores in classes.values()]
    cells = "".join(f"{value:>{width}}" for value in precisions)
    return "\n".join([*lines, f"{'':>{label_width}}{cells}  precision"])


def _share(part: int, whole: int) -> float | None:
    return int(part) / int(whole) if whole else None


def _rounded(share: float | None) -> str:
    return "–" if share is None else f"{share:.2f}"
