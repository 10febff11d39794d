"""Runs the variants of a lesson, each with every seed, and judges what they measured."""

import dataclasses
import pathlib
import traceback
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from research import pages, workdir
from research.console import Console
from research.course.lesson import Check, Figures, Lesson
from research.course.trained import Trained
from research.errors import UserError
from research.experiment import Experiment
from research.training import train


class Stopped(Exception):
    """The course was asked to stop; what was trained so far is kept."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of a lesson.

    Attributes:
      variant, seed: which.
      flags: over the lesson's config, with the seed.
      path: its work directory.
    """

    variant: str
    seed: int
    flags: tuple[str, ...]
    path: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A lesson as it turned out.

    Attributes:
      name: that of its config.
      lesson: what was to be shown.
      jobs: the runs.
      figures: what was measured; {} if it failed before.
      checks: the claims, judged; () if it failed before.
      plot: an <svg> element, "" if it failed before.
      seconds: what the runs took, over all seeds.
      error: why it failed, "" if it didn't.
      versions: of what trained it.
    """

    name: str
    lesson: Lesson
    jobs: Sequence[Job]
    figures: Figures = dataclasses.field(default_factory=dict)
    checks: Sequence[Check] = ()
    plot: str = ""
    seconds: float = 0.0
    error: str = ""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def held(self) -> bool:
        """Whether it ran, and all its claims held."""
        return not self.error and all(check.held for check in self.checks)


def jobs_of(lesson: Lesson, folder: pathlib.Path) -> list[Job]:
    """Returns the runs of a lesson, whose work directories stand in a folder."""
    jobs = []
    for seed in range(lesson.seeds):
        paths = {name: folder / name.replace(" ", "_") / str(seed) for name in lesson.variants}
        for name, flags in lesson.variants.items():
            filled = tuple(flag.format_map(paths) for flag in flags)
            jobs.append(Job(name, seed, (*filled, f"--config.seed={seed}"), paths[name]))
    return jobs


def run_lesson(
    name: str,
    lesson: Lesson,
    folder: pathlib.Path,
    make: Callable[[Sequence[str]], Experiment],
    tell: Callable[[str], None],
    stop_requested: Callable[[], str],
) -> Outcome:
    """Trains, judges and draws a lesson; what was trained before is not trained again.

    Args:
      name: that of its config.
      lesson: the lesson.
      folder: where its runs are kept.
      make: flags -> the experiment of its config with them.
      tell: shown what is done, a line at a time.
      stop_requested: asked before every step for a reason to stop, "" if there is none.

    Raises:
      Stopped: if it was asked to.
    """
    jobs = jobs_of(lesson, folder)
    outcome = Outcome(name, lesson, jobs)
    try:
        runs: dict[str, list[Trained]] = {variant: [] for variant in lesson.variants}
        for job in jobs:
            runs[job.variant].append(_train(job, make(job.flags), tell, stop_requested))
        figures = {
            variant: {
                measure: np.array([function(run) for run in runs[variant]], np.float64)
                for measure, function in lesson.measures.items()
            }
            for variant in lesson.variants
        }
        outcome = dataclasses.replace(
            outcome,
            figures=figures,
            checks=tuple(lesson.judge(figures)),
            seconds=sum(run.summary["seconds"] for trained in runs.values() for run in trained),
            versions=runs[jobs[0].variant][0].summary["versions"],
        )
        plot = pages.svg(lesson.size, lambda figure: lesson.draw(figure, runs))
        return dataclasses.replace(outcome, plot=plot)
    except Stopped:
        raise
    except UserError as error:
        return dataclasses.replace(outcome, error=str(error))
    except Exception:  # one lesson's failure, whatever it is, hides no other lesson
        return dataclasses.replace(outcome, error=traceback.format_exc())


def _train(
    job: Job,
    experiment: Experiment,
    tell: Callable[[str], None],
    stop_requested: Callable[[], str],
) -> Trained:
    found = Trained(job.path)
    before = "trained before: " if _is_finished(job.path, experiment) else ""
    if not before:
        job.path.mkdir(parents=True, exist_ok=True)
        with open(job.path / "log.txt", "a") as log:
            if train(experiment, str(job.path), Console(log), stop_requested).stopped:
                raise Stopped
    test = found.summary["test"]
    tell(
        f"  {job.variant}, seed {job.seed}: {before}accuracy {test['accuracy']:.4f}, loss "
        f"{test['loss']:.4f}, {found.summary['seconds']:.1f} s"
    )
    return found


def _is_finished(path: pathlib.Path, experiment: Experiment) -> bool:
    """Whether this very experiment was trained to its end there."""
    files = workdir.find_workdir(path)
    if not files.summary.exists():
        return False
    recorded, _ = workdir.read_experiment(files)
    return not workdir.changes_of_result(recorded, experiment)
