"""What a lesson is: a claim, the runs that it is judged by, and a plot of them.

Nothing slow is imported: lessons stand in config files.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from research.course.trained import Trained

Measure = Callable[["Trained"], float]
"""A finished run -> a figure of it."""

Figures = Mapping[str, Mapping[str, "np.ndarray"]]
"""Variant -> name of a measure -> its values over the seeds, float64 [seeds]."""

Runs = Mapping[str, Sequence["Trained"]]
"""Variant -> its finished runs, one a seed."""


@dataclasses.dataclass(frozen=True)
class Check:
    """A claim, and whether it held.

    Attributes:
      claim: a sentence with the criterion.
      held: whether what was measured meets it.
      measured: what was measured, for people.
    """

    claim: str
    held: bool
    measured: str


def accuracy_on_test(run: "Trained") -> float:
    """The accuracy on test."""
    return run.summary["test"]["accuracy"]


def loss_on_test(run: "Trained") -> float:
    """The loss on test."""
    return run.summary["test"]["loss"]


@dataclasses.dataclass(frozen=True)
class Lesson:
    """A lesson of the course.

    Attributes:
      title: a few words.
      text: what is to be seen and why, with the source.
      variants: name -> flags over the config in whose file the lesson stands. In
        them {NAME} stands for the work directory of another variant, of the same
        seed.
      judge: figures -> what they say of each claim. It looks at nothing else, so
        that it can be tried with any figures.
      draw: (matplotlib figure, runs) -> None.
      measures: name -> what is measured of each run.
      seeds: how many of each variant are trained, from 0.
      size: width and height of the plot, inches.
    """

    title: str
    text: str
    variants: Mapping[str, tuple[str, ...]]
    judge: Callable[[Figures], Sequence[Check]]
    draw: Callable[[Any, Runs], None]
    measures: Mapping[str, Measure] = dataclasses.field(
        default_factory=lambda: {"test accuracy": accuracy_on_test}
    )
    seeds: int = 3
    size: tuple[float, float] = (10, 3.4)


def at_least(figures: Figures, variant: str, measure: str, bound: float) -> Check:
    """Checks that a measure is at least so large with every seed."""
    values = figures[variant][measure]
    return Check(
        f"“{variant}”: {measure} of at least {bound:g} with every seed",
        bool((values >= bound).all()),
        f"{values.min():.4g} at least",
    )


def at_most(figures: Figures, variant: str, measure: str, bound: float) -> Check:
    """Checks that a measure is at most so large with every seed."""
    values = figures[variant][measure]
    return Check(
        f"“{variant}”: {measure} of at most {bound:g} with every seed",
        bool((values <= bound).all()),
        f"{values.max():.4g} at most",
    )


def larger(
    figures: Figures, larger_one: str, smaller_one: str, measure: str, by: float = 0.0
) -> Check:
    """Checks that a measure of one variant exceeds that of another with every seed."""
    gaps = figures[larger_one][measure] - figures[smaller_one][measure]
    more = f" by more than {by:g}" if by else ""
    return Check(
        f"{measure}: “{larger_one}” above “{smaller_one}”{more} with every seed",
        bool((gaps > by).all()),
        f"by {gaps.min():.3g} to {gaps.max():.3g}",
    )
