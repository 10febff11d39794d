"""The perceptron's problems: AND, OR and XOR of two inputs.

Rosenblatt 1958; Minsky & Papert, Perceptrons, 1969: a line divides the corners
of AND and of OR, and at most three of the four of XOR.
"""

import functools

from research.data.base import Source
from research.data.plane import Plane
from research.records import record, require, require_known

GATES = {"and": (0, 0, 0, 1), "or": (0, 1, 1, 1), "xor": (0, 1, 1, 0)}
"""The outputs for the inputs (0,0), (0,1), (1,0) and (1,1)."""


@record
class Logic(Plane):
    """Points around the corners of the unit square, labelled by a gate's output.

    Each split has points of its own, equally many at every corner.
    """

    name: str = "logic"

    gate: str = "xor"
    """One of "and", "or", "xor"."""

    points_per_corner: int = 50
    """Points around each of the four corners, in each split."""

    noise: float = 0.1
    """How far a coordinate may lie from its corner's. Below 0.25 no line has more
    than 75% of XOR right."""

    def open(self):
        splits = {
            name: functools.partial(self._draw, index)
            for index, name in enumerate(("train", "validation", "test"))
        }
        return Source(
            class_names=("0", "1"),
            splits=splits,
            input_shape=(len(self.features),),
            input_dtype="float32",
            sizes=dict.fromkeys(splits, 4 * self.points_per_corner),
        )

    def _draw(self, split: int):
        import numpy as np

        from research.data.draws import uniform

        corners = np.repeat([(0, 0), (0, 1), (1, 0), (1, 1)], self.points_per_corner, axis=0)
        offsets = uniform(corners.shape, -self.noise, self.noise, self.seed, split)
        return self.examples_of(
            corners + offsets, np.repeat(GATES[self.gate], self.points_per_corner)
        )

    def validate(self, path):
        super().validate(path)
        require_known(self.gate, GATES, f"{path}.gate")
        require(self.points_per_corner >= 1, f"{path}.points_per_corner", "must be at least 1")
        require(0 < self.noise < 0.5, f"{path}.noise", "must lie in (0, 0.5)")
