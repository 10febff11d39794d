"""Evaluating a state on a split: every example counts exactly once."""

import dataclasses
from collections.abc import Callable

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

    def as_dict(self) -> dict[str, float | int]:
        """Returns loss, accuracy and number of examples."""
        return {"loss": self.loss, "accuracy": self.accuracy, "examples": self.examples}


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
    """Returns the confusion matrix as text, with precision and recall per class."""
    width = max(5, len(str(result.confusion.max())) + 1)
    label_width = max(len(name) for name in class_names)
    head = " " * label_width + "".join(f"{name[: width - 1]:>{width}}" for name in class_names)
    lines = [f"rows: true class, columns: predicted class\n{head}   recall"]
    predicted = result.confusion.sum(axis=0)
    for index, (name, row) in enumerate(zip(class_names, result.confusion, strict=True)):
        cells = "".join(f"{count:>{width}}" for count in row)
        lines.append(f"{name:>{label_width}}{cells}   {_share(row[index], row.sum())}")
    precisions = [_share(result.confusion[i, i], predicted[i]) for i in range(len(class_names))]
    cells = "".join(f"{value:>{width}}" for value in precisions)
    return "\n".join([*lines, f"{'':>{label_width}}{cells}   precision"])


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2f}" if whole else "–"
