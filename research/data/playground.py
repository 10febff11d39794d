"""The four classification problems of TensorFlow's neural-network playground.

Smilkov et al. 2017 (arXiv:1708.03788), https://playground.tensorflow.org.
"""

from typing import TYPE_CHECKING

from research.data.base import Source
from research.data.plane import Plane
from research.records import record, require, require_known

if TYPE_CHECKING:
    import numpy as np

PROBLEMS = ("circle", "xor", "gauss", "spiral")

RADIUS = 5
"""Points lie in [-5, 5]², but for noise and the tails of the Gaussians."""


@record
class Playground(Plane):
    """Orange and blue points in a plane."""

    name: str = "playground"

    problem: str = "circle"
    """What is drawn. "circle": blue within, orange around; "xor": blue where x1 and
    x2 have one sign; "gauss": two clouds; "spiral": two arms."""

    num_points: int = 500
    """Points of both colours, over all splits."""

    noise: float = 0.0
    """In percent, from 0 to 50: how far off the points are coloured ("circle",
    "xor") or lie ("spiral"), or how far the clouds spread ("gauss")."""

    def open(self):
        return Source(class_names=("orange", "blue"), splits={"train": self._draw})

    def _draw(self):
        draw = {"circle": _circle, "xor": _xor, "gauss": _gauss, "spiral": _spiral}[self.problem]
        key = self.seed, PROBLEMS.index(self.problem)
        return self.examples_of(*draw(self.num_points // 2, self.noise / 100, key))

    def validate(self, path):
        super().validate(path)
        require_known(self.problem, PROBLEMS, f"{path}.problem")
        require(
            self.num_points >= 20 and self.num_points % 2 == 0,
            f"{path}.num_points",
            f"takes an even number of at least 20, not {self.num_points}",
        )
        require(0 <= self.noise <= 50, f"{path}.noise", f"must lie in [0, 50], not {self.noise}")


# Each of these takes half the number of points, the noise from 0 to 0.5 and a
# key; it returns points, float64 [n, 2], and labels, 1 for blue.


def _circle(half: int, noise: float, key: tuple[int, int]) -> tuple["np.ndarray", "np.ndarray"]:
    """Uniform radii within half of RADIUS, and from 0.7 of it."""
    import numpy as np

    from research.data.draws import uniform

    drawn = uniform((4, 2 * half), 0, 1, *key)
    within = np.arange(2 * half) < half
    r = RADIUS * np.where(within, 0.5 * drawn[0], 0.7 + 0.3 * drawn[0])
    angle = 2 * np.pi * drawn[1]
    points = np.stack([r * np.sin(angle), r * np.cos(angle)], axis=1)
    seen = points + noise * RADIUS * (2 * drawn[2:].T - 1)
    return points, np.hypot(*seen.T) < RADIUS / 2


def _xor(half: int, noise: float, key: tuple[int, int]) -> tuple["np.ndarray", "np.ndarray"]:
    """Uniform in the square, 0.3 away from the axes."""
    import numpy as np

    from research.data.draws import uniform

    drawn = uniform((2 * half, 4), -RADIUS, RADIUS, *key)
    points = drawn[:, :2] + np.where(drawn[:, :2] > 0, 0.3, -0.3)
    seen = points + noise * drawn[:, 2:]
    return points, seen.prod(axis=1) >= 0


def _gauss(half: int, noise: float, key: tuple[int, int]) -> tuple["np.ndarray", "np.ndarray"]:
    """Around (2, 2) and (-2, -2), with a variance from 0.5 to 4."""
    import numpy as np

    from research.data.draws import normal

    labels = np.arange(2 * half) < half
    centers = np.where(labels, 2, -2)[:, np.newaxis]
    return centers + np.sqrt(0.5 + 7 * noise) * normal((2 * half, 2), *key), labels


def _spiral(half: int, noise: float, key: tuple[int, int]) -> tuple["np.ndarray", "np.ndarray"]:
    """Radius 5·i/n and angle 3.5π·i/n, half a turn further for orange."""
    import numpy as np

    from research.data.draws import uniform

    part = np.tile(np.arange(half) / half, 2)
    labels = np.arange(2 * half) < half
    angle = 3.5 * np.pi * part + np.where(labels, 0, np.pi)
    arms = RADIUS * part[:, np.newaxis] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return arms + noise * uniform((2 * half, 2), -1, 1, *key), labels
