"""Running commands: their lines, their time, and being asked to stop."""

import time

import pytest

from launch.cloud.commands import Step
from launch.cloud.runner import TIMED_OUT, Interrupted, Runner


def shell(text, minutes=1.0):
    return Step("test", ("sh", "-c", text), minutes)


def test_output_and_errors_are_kept_apart_and_passed_on_together():
    lines = []
    done = Runner().run(shell("echo out; sleep 0.1; echo err >&2; exit 3"), lines.append)
    assert (done.code, done.output, done.error) == (3, "out\n", "err")
    assert lines == ["out", "err"]


def test_every_line_is_passed_on_even_of_a_command_that_ended():
    lines = []
    Runner().run(shell("seq 20000"), lines.append)
    assert lines == [str(n) for n in range(1, 20001)]


def test_a_command_that_takes_too_long_is_ended_with_what_it_started():
    began = time.monotonic()
    done = Runner().run(shell("sleep 60 & sleep 60", minutes=0.005))
    assert done.code == TIMED_OUT and done.error == "no answer within 0.005 minutes"
    assert time.monotonic() - began < 30


def test_a_command_is_ended_when_there_is_a_reason():
    done = Runner().run(shell("sleep 60"), watch=lambda: "enough")
    assert done.code == TIMED_OUT and done.error == "enough"


def test_nothing_waits_for_an_answer_from_the_keyboard():
    assert Runner().run(shell("read answer || echo none")).output == "none\n"


def test_a_runner_that_was_asked_to_stop_ends_and_runs_nothing_more(tmp_path):
    asked = iter(["", "", "SIGINT", "SIGINT"])
    runner = Runner(lambda: next(asked))
    with pytest.raises(Interrupted, match="SIGINT"):
        runner.run(shell(f"sleep 60; touch {tmp_path}/done"))
    with pytest.raises(Interrupted):
        runner.pause(60)
    runner.ignore_stop()
    assert runner.run(shell("echo on")).output == "on\n"
    assert list(tmp_path.iterdir()) == []


def test_what_must_not_be_ended_halfway_is_not(tmp_path):
    asked = iter([""])
    runner = Runner(lambda: next(asked, "SIGINT"))
    done = runner.run(shell(f"sleep 0.5; touch {tmp_path}/done"), to_the_end=True)
    assert done.code == 0 and (tmp_path / "done").exists()
    with pytest.raises(Interrupted):
        runner.run(shell("true"))
