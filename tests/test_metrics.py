"""metrics.jsonl is the truth; TensorBoard's event files say the same."""

import json
import math

import pytest

from research.errors import UserError
from research.metrics import MetricsLog, read
from research.workdir import Workdir
from tests.events import read_events


def line(step, **values):
    return {"step": step, "epoch": step / 10, "split": "train", "loss": 1 / step, **values}


def write(path, lines, resume_step=0, tensorboard=False):
    log = MetricsLog(Workdir(path), resume_step, tensorboard)
    for each in lines:
        log.write(each)
    log.close()


def test_lines_are_read_as_they_were_written(tmp_path):
    lines = [line(step) for step in (1, 2, 3)]
    write(tmp_path, lines)
    assert list(read(tmp_path / "metrics.jsonl")) == lines


def test_what_lies_after_the_checkpoint_is_dropped_on_resuming(tmp_path):
    write(tmp_path, [line(1), line(2), line(3)])
    write(tmp_path, [line(3, loss=7.0)], resume_step=2)
    assert list(read(tmp_path / "metrics.jsonl")) == [line(1), line(2), line(3, loss=7.0)]


def test_an_incomplete_last_line_is_passed_over(tmp_path):
    write(tmp_path, [line(1)])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "spl')
    assert list(read(tmp_path / "metrics.jsonl")) == [line(1)]
    write(tmp_path, [line(2)], resume_step=1)
    assert list(read(tmp_path / "metrics.jsonl")) == [line(1), line(2)]


def test_a_damaged_line_is_an_error_that_names_it(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps(line(1)) + "\nnonsense\n")
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 2 is damaged: 'nonsense'"):
        list(read(tmp_path / "metrics.jsonl"))


def test_a_value_that_is_not_finite_is_null(tmp_path):
    write(tmp_path, [line(1, loss=math.nan)])
    assert '"loss": null' in (tmp_path / "metrics.jsonl").read_text()


def test_event_files_hold_every_value_once_also_after_resuming(tmp_path):
    write(tmp_path, [line(1), line(2), line(3)], tensorboard=True)
    write(tmp_path, [line(3), line(4)], resume_step=2, tensorboard=True)
    expected = [
        ("train/loss", each["step"], pytest.approx(each["loss"]))
        for each in read(tmp_path / "metrics.jsonl")
    ]
    assert read_events(tmp_path / "tensorboard") == expected
    assert len(expected) == 4


def test_without_tensorboard_there_are_no_event_files(tmp_path):
    write(tmp_path, [line(1)])
    assert not (tmp_path / "tensorboard").exists()
