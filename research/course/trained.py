"""A finished run of a lesson, to be measured and drawn."""

import dataclasses
import functools
import pathlib
from typing import Any

import numpy as np

from research import metrics, restoring, workdir
from research.checkpoint_files import read_arrays
from research.data.splits import Dataset
from research.experiment import Experiment
from research.models.network import network
from research.objectives import objective


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a finished run left.

    Attributes:
      path: its work directory.
    """

    path: pathlib.Path

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        """What summary.json holds."""
        return workdir.read_json(self.path / "summary.json")

    @functools.cached_property
    def lines(self) -> tuple[metrics.Line, ...]:
        """The lines of metrics.jsonl."""
        return tuple(metrics.read(self.path / "metrics.jsonl"))

    def series(self, split: str, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns (steps, values) of a measure on "train" or "validation"."""
        lines = [line for line in self.lines if line["split"] == split]
        steps, values = ([line[key] for line in lines] for key in ("step", name))
        return np.array(steps), np.array(values, np.float64)

    def array(self, path: str) -> np.ndarray:
        """Returns an array of the last checkpoint, such as "params/logits/kernel"."""
        return self._arrays[path]

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """Returns the probability of each class for inputs, float32 [n, classes]."""
        import jax

        restored = self._restored
        num_classes = len(restored.dataset.class_names)
        goal = objective(restored.experiment.loss, num_classes)
        net = network(restored.experiment.model, goal.num_outputs)
        variables = {"params": restored.state.params, "batch_stats": restored.state.batch_stats}
        outputs = jax.jit(net.apply)(variables, restored.state.normalization(inputs))
        if goal.num_outputs == num_classes:
            return np.asarray(jax.nn.softmax(outputs))
        second = np.asarray(jax.nn.sigmoid(outputs))
        return np.concatenate([1 - second, second], axis=1)

    @property
    def dataset(self) -> Dataset:
        """The data set that it was trained on."""
        return self._restored.dataset

    @property
    def experiment(self) -> Experiment:
        """What was trained."""
        return self._restored.experiment

    @functools.cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        step = self.summary["step"]
        return read_arrays(workdir.find_workdir(self.path).checkpoints / str(step))

    @functools.cached_property
    def _restored(self) -> restoring.Restored:
        return restoring.restore(str(self.path))
