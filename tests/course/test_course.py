"""`launch.course`: lessons are trained, judged and shown; what failed hides nothing else."""

import dataclasses
import re
import sys
import types

import pytest

from configs import course
from launch import cli
from launch import course as command
from research.course.lesson import Check, Lesson

CONFIG = """
from research.experiment import Evaluation, Experiment, Logging
from research.models.mlp import Mlp

def get_config():
    return Experiment(
        name="tiny", steps=4, model=Mlp(widths=(4,)), logging=Logging(tensorboard=False),
        evaluation=Evaluation(every_epochs=1),
    )
"""


def judge(figures):
    accuracy = figures["narrow"]["test accuracy"]
    return [Check("an accuracy is a share", bool((accuracy <= 1).all()), f"{accuracy.max():.2f}")]


def draw(figure, runs):
    from research.course.drawing import curves, dots

    left, right = figure.subplots(1, 2)
    curves(left, runs, "validation", "loss")
    dots(right, {name: [run.summary["test"]["loss"] for run in runs[name]] for name in runs})


TINY = Lesson(
    title="A tiny lesson",
    text="Wider is <not> narrower.",
    variants={
        "narrow": (),
        "from narrow": ("--config.init_from={narrow}", "--config.transfer.until=logits"),
    },
    judge=judge,
    draw=draw,
    seeds=1,
)


@pytest.fixture
def lessons(monkeypatch, tmp_path):
    """Name -> lesson: those there are for `launch.course`, to be added to."""
    config = tmp_path / "config.py"
    config.write_text(CONFIG)

    def set_lessons(**given):
        monkeypatch.setattr(course, "LESSONS", tuple(given))
        for name, lesson in given.items():
            module = types.SimpleNamespace(LESSON=lesson)
            monkeypatch.setitem(sys.modules, f"configs.course.{name}", module)

    monkeypatch.setattr(course, "path", lambda name: config)
    set_lessons(tiny=TINY)
    return set_lessons


def run(*arguments):
    return cli.guarded(command.main, [*arguments])


def without(lesson, **fields):
    return dataclasses.replace(lesson, **fields)


def test_page_stands_alone_with_claims_figures_plot_commands_and_versions(
    lessons, tmp_path, capsys
):
    lessons(tiny=without(TINY, seeds=2))
    assert run("--all", f"--output={tmp_path}/out") == cli.SUCCESS
    shown = capsys.readouterr().out
    assert shown.count("seed 0: accuracy") == shown.count("seed 1: accuracy") == 2
    assert "held: an accuracy is a share (0." in shown and "1 of 1 lessons held" in shown
    page = (tmp_path / "out" / "course.html").read_text()
    assert "Wider is &lt;not&gt; narrower." in page
    assert re.search(r"✓</b>an accuracy is a share <span>\(0\.\d\d\)", page)
    assert re.search(r"<td>from narrow</td><td>0\.\d{3} ± 0\.\d{3}</td><td>2</td>", page)
    assert page.count("<svg") == 1
    assert f"--config.init_from={tmp_path}/out/tiny/narrow/0" in page
    assert "jax 0." in page and "python 3." in page
    assert not re.search(r"(src|href)=.?(https?:)?//", page)


def test_what_was_trained_is_not_trained_again(lessons, tmp_path, capsys):
    assert run("--lesson=tiny", f"--output={tmp_path}/out") == cli.SUCCESS
    kept = tmp_path / "out" / "tiny" / "narrow" / "0" / "summary.json"
    before = kept.stat().st_mtime_ns
    capsys.readouterr()
    assert run("--lesson=tiny", f"--output={tmp_path}/out") == cli.SUCCESS
    assert capsys.readouterr().out.count("trained before: accuracy") == 2
    assert kept.stat().st_mtime_ns == before


def test_stopped_course_goes_on_where_it_was(lessons, tmp_path, capsys, monkeypatch):
    asked = iter(range(10**6))
    monkeypatch.setattr(
        cli.StopRequest, "__call__", lambda self: "SIGTERM" if next(asked) > 8 else ""
    )
    assert run("--all", f"--output={tmp_path}/out") == cli.STOPPED
    assert "stopped by SIGTERM. The same command again goes on" in capsys.readouterr().out
    monkeypatch.undo()
    lessons(tiny=TINY)
    monkeypatch.setattr(course, "path", lambda name: tmp_path / "config.py")
    assert run("--all", f"--output={tmp_path}/out") == cli.SUCCESS
    shown = capsys.readouterr().out
    assert shown.count("trained before") == 1 and "resuming after step" in "".join(
        path.read_text() for path in (tmp_path / "out").rglob("log.txt")
    )


def test_claim_that_fails_is_shown_and_ends_with_1(lessons, tmp_path, capsys):
    lessons(tiny=without(TINY, judge=lambda figures: [Check("pigs fly", False, "none seen")]))
    assert run("--all", f"--output={tmp_path}/out") == command.NOT_ALL_HELD == 1
    assert "NOT held: pigs fly (none seen)" in capsys.readouterr().out
    page = (tmp_path / "out" / "course.html").read_text()
    assert "✗</b>pigs fly" in page and "0 of 1 held" in page


def test_lesson_that_fails_hides_no_other(lessons, tmp_path, capsys):
    def crash(figure, runs):
        raise ZeroDivisionError("of nothing")

    lessons(
        crashing=without(TINY, draw=crash, variants={"narrow": ()}),
        refused=without(TINY, variants={"odd": ("--config.model.widths=(0,)",)}),
        tiny=TINY,
    )
    assert run("--all", f"--output={tmp_path}/out") == command.NOT_ALL_HELD
    shown = capsys.readouterr().out
    assert "ZeroDivisionError: of nothing" in shown and "1 of 3 lessons held" in shown
    assert "failed: config.model.widths: must be positive" in shown
    page = (tmp_path / "out" / "course.html").read_text()
    # What was measured before a plot failed is shown.
    assert page.count(">failed<") == 4 and page.count("an accuracy is a share") == 2
    assert "ZeroDivisionError: of nothing" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --all, or --lesson with one of xor, spiral"),
        (["--all", "--lesson=xor"], "give --all, or --lesson"),
        (["--lesson=xro"], "--lesson: there is no lesson 'xro'. Did you mean 'xor'?"),
    ],
)
def test_lesson_that_is_not_there_is_answered_with_those_that_are(arguments, message, capsys):
    assert run(*arguments) == cli.BAD_INPUT
    assert message in capsys.readouterr().err


def test_imbalance_shows_what_it_claims(tmp_path, capsys):
    assert run("--lesson=imbalance", f"--output={tmp_path}") == cli.SUCCESS
    assert capsys.readouterr().out.count("  held: ") == 4
