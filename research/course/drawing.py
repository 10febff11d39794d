"""What the plots of lessons share. Everything draws on axes of matplotlib."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from research.course.lesson import Runs
from research.course.trained import Trained

COLORS = ("#2f6fab", "#e08a3c", "#19703f", "#b3261e", "#7b5ea7", "#5b6b7c")
"""Of the variants, in their order."""


def curves(axes: Any, runs: Runs, split: str, name: str, title: str = "", style: str = "-") -> None:
    """Draws a measure over steps: each variant's mean over the seeds, and their range.

    Args:
      axes: where.
      runs: the variants.
      split, name: the measure; see `Trained.series`.
      title: above the picture; the measure and the split unless given.
      style: of the lines.
    """
    axes.set_title(title or f"{name} {'in training' if split == 'train' else f'on {split}'}")
    for color, (variant, trained) in zip(COLORS, runs.items(), strict=False):
        series = [run.series(split, name) for run in trained]
        steps = series[0][0]
        values = np.stack([values for _, values in series])
        axes.plot(steps, values.mean(axis=0), style, color=color, label=variant, linewidth=1.5)
        axes.fill_between(
            steps, values.min(axis=0), values.max(axis=0), color=color, alpha=0.15, linewidth=0
        )
    axes.set_xlabel("step")
    axes.grid(alpha=0.25)


def dots(axes: Any, values: dict[str, Sequence[float]]) -> None:
    """Draws a dot for each seed of each variant, side by side, and a line at their mean."""
    for place, (color, found) in enumerate(zip(COLORS, values.values(), strict=False)):
        spread = np.linspace(-0.12, 0.12, len(found)) if len(found) > 1 else np.zeros(1)
        axes.plot(place + spread, found, "o", color=color, markersize=5)
        axes.plot([place - 0.25, place + 0.25], [np.mean(found)] * 2, color=color, linewidth=2)
    axes.set_xticks(range(len(values)), [textwrap.fill(name, 12) for name in values])
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.grid(axis="y", alpha=0.25)


def plane(axes: Any, run: Trained, title: str, reach: float, resolution: int = 120) -> None:
    """Draws what a network says of the points of a plane, and the points of test.

    Args:
      axes: where.
      run: of an experiment on points in a plane and two classes.
      title: above the picture.
      reach: the picture shows [-reach, reach]², or for logic [-reach, 1 + reach]².
      resolution: pixels along a side.
    """
    dataset, data = run.dataset, run.experiment.data
    low, high = (-reach, 1 + reach) if data.name == "logic" else (-reach, reach)
    ticks = np.linspace(low, high, resolution)
    points = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    grid = data.examples_of(points, np.zeros(len(points))).inputs
    shades = run.probabilities(grid)[:, 1].reshape(resolution, resolution)
    axes.imshow(
        shades,
        extent=(low, high, low, high),
        origin="lower",
        cmap="RdBu",
        vmin=0,
        vmax=1,
        alpha=0.6,
    )
    test = dataset.read_test()
    rows = test.gather(np.arange(len(test)))
    x1, x2 = (rows["input"][:, data.features.index(name)] for name in ("x1", "x2"))
    for label, color in enumerate(("#b3261e", "#17456e")):
        mine = rows["label"] == label
        axes.plot(
            x1[mine], x2[mine], "o", color=color, markersize=2.5, markeredgewidth=0, rasterized=True
        )
    axes.set_title(title)
    axes.set(xticks=[], yticks=[], xlim=(low, high), ylim=(low, high))
    for spine in axes.spines.values():
        spine.set_visible(False)
