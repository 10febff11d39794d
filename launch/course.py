"""Runs lessons of the course, and writes a page with what they claim and whether it held.

    python -m launch.course --all
    python -m launch.course --lesson=xor,spiral --output=runs/course

Each lesson trains the variants of its config in configs/course/ with three seeds
or more. The page is OUTPUT/course.html; the runs are kept beside it, so that the
same command goes on where it was stopped. Exit codes: 0 all claims held, 1 one
did not or a lesson failed, 2 bad input, 75 stopped.
"""

import functools
import importlib
import pathlib
import time

from configs import course
from launch import cli, platforms
from launch.flags import make_experiment, parse
from research.errors import UserError, suggestion

NOT_ALL_HELD = 1


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    with cli.StopRequest() as stop:
        values = parse(argv, _define, __doc__)
        names = _chosen(values)
        platforms.require(values.platform)
        from research.course import page
        from research.course.running import Outcome, Stopped, run_lesson
        from research.mesh import hardware
        from research.program import enable_compilation_cache

        enable_compilation_cache()
        output, began = pathlib.Path(values.output), time.perf_counter()
        output.mkdir(parents=True, exist_ok=True)
        outcomes: list[Outcome] = []
        for name in names:
            lesson = importlib.import_module(f"configs.course.{name}").LESSON
            print(f"{lesson.title} ({name})", flush=True)
            make = functools.partial(make_experiment, course.path(name))
            try:
                outcome = run_lesson(name, lesson, output / name, make, _tell, stop)
            except Stopped:
                print(f"stopped by {stop()}. The same command again goes on from here")
                return cli.STOPPED
            _report(outcome)
            outcomes.append(outcome)
            # Written anew after every lesson: what is there can be read meanwhile.
            minutes = (time.perf_counter() - began) / 60
            text = page.render(outcomes, minutes, hardware())
            (output / "course.html").write_text(text, encoding="utf-8")
        held = sum(outcome.held for outcome in outcomes)
        print(f"{held} of {len(outcomes)} lessons held\nwrote {output / 'course.html'}")
        return cli.SUCCESS if held == len(outcomes) else NOT_ALL_HELD


def _chosen(values) -> tuple[str, ...]:
    """Returns the names of the lessons that the flags ask for."""
    if values.all == bool(values.lesson):
        raise UserError(f"give --all, or --lesson with one of {', '.join(course.LESSONS)}")
    for name in values.lesson:
        if name not in course.LESSONS:
            raise UserError(
                f"--lesson: there is no lesson {name!r}.{suggestion(name, course.LESSONS)}\n"
                f"Lessons: {', '.join(course.LESSONS)}"
            )
    return tuple(values.lesson) or course.LESSONS


def _tell(text: str) -> None:
    print(text, flush=True)


def _report(outcome) -> None:
    if outcome.error:
        _tell(f"  failed: {outcome.error.strip()}")
    for check in outcome.checks:
        _tell(f"  {'held' if check.held else 'NOT held'}: {check.claim} ({check.measured})")


def _define(values) -> None:
    from absl import flags

    flags.DEFINE_list("lesson", [], "names of lessons, divided by commas", flag_values=values)
    flags.DEFINE_bool("all", False, "all lessons", flag_values=values)
    flags.DEFINE_string(
        "output", "runs/course", "folder of the page and of the runs", flag_values=values
    )
    platforms.define(values)


if __name__ == "__main__":
    cli.run(main)
