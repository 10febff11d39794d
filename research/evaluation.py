"""Evaluating a state on a split: every example counts exactly once."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Sharding

from research.data.feed import evaluation_batches
from research.data.splits import Split
from research.state import TrainState, averaged


@dataclasses.dataclass(frozen=True)
class Result:
    """What was measured on a split.

    Attributes:
      loss: mean over the examples of the experiment's loss.
      confusion: int64 [classes, classes]; entry [i, j] counts the examples of
        class i that were taken for class j.
    """

    loss: float
    confusion: np.ndarray

    @property
    def examples(self) -> int:
        """How many examples were evaluated."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Share of the examples whose class was found."""
        return int(np.trace(self.confusion)) / self.examples

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


def evaluate(
    eval_step: Callable[[TrainState, dict[str, jax.Array]], dict[str, jax.Array]],
    state: TrainState,
    split: Split,
    global_batch_size: int,
    sharding: Sharding,
) -> Result:
    """Evaluates a state on all examples of a split.

    Args:
      eval_step: the compiled evaluation step.
      state: the state to evaluate.
      split: the examples.
      global_batch_size: examples per step; the result does not depend on it
        but for the rounding of the loss.
      sharding: where batches go.
    """
    loss, confusion = 0.0, np.int64(0)
    unfetched = []
    for batch in evaluation_batches(split, global_batch_size, sharding):
        unfetched.append(eval_step(state, batch))
        # One step late, so that the devices always have the next one to do.
        for sums in jax.device_get(unfetched[:-1]):
            loss, confusion = loss + float(sums["loss"]), confusion + sums["confusion"]
        del unfetched[:-1]
    (sums,) = jax.device_get(unfetched)
    loss, confusion = loss + float(sums["loss"]), confusion + sums["confusion"]
    return Result(loss=loss / len(split), confusion=np.asarray(confusion, np.int64))


def evaluate_with_average(
    eval_step: Callable[[TrainState, dict[str, jax.Array]], dict[str, jax.Array]],
    state: TrainState,
    split: Split,
    name: str,
    global_batch_size: int,
    sharding: Sharding,
) -> dict[str, Result]:
    """Evaluates the parameters and, where it is kept, their average.

    Returns:
      Results by name: `name`, then `name`_average.
    """
    states = {name: state}
    if state.average:
        states[f"{name}_average"] = averaged(state)
    return {
        key: evaluate(eval_step, value, split, global_batch_size, sharding)
        for key, value in states.items()
    }


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
