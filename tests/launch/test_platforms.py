"""--platform: a command runs where it is told to, or not at all."""

import importlib
import pathlib
import subprocess
import sys

import pytest

import launch
from launch import cli, train

FOLDER = pathlib.Path(launch.__file__).parent
COMMANDS = sorted(
    ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts)
    for path in FOLDER.rglob("*.py")
    if "\ndef main(" in path.read_text()
)
TRAINING = ["--", "--workdir=gs://bucket/a"]
REQUIRED = {
    "launch.cloud.manifest": TRAINING,
    "launch.cloud.tpu": TRAINING,
    "launch.course": ["--all"],
    "launch.evaluate": ["--workdir=runs/a"],
    "launch.plan": ["--topology=v5e:2x4"],
    "launch.replica": ["--workdir=runs/a", "--replica=0", "--to=runs/b"],
    "launch.replay": ["--workdir=runs/a", "--step=1"],
}
"""What a command refuses to go on without."""


def absent():
    """Returns a platform that this machine does not have."""
    return "gpu" if list(pathlib.Path("/dev").glob("accel[0-9]*")) else "tpu"


def refusal(command, capsys):
    """Returns what a command says when it is to run on a platform that is not there."""
    argv = [f"--platform={absent()}", *REQUIRED.get(command, [])]
    assert cli.guarded(importlib.import_module(command).main, argv) == cli.BAD_INPUT
    return "".join(capsys.readouterr())


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_passes_over_a_platform_that_is_not_there(command, capsys):
    said = refusal(command, capsys)
    assert "on this machine" in said or "Unknown command line flag 'platform'" in said


@pytest.mark.parametrize(
    "command", ["launch.train", "launch.evaluate", "launch.replay", "launch.doctor"]
)
def test_what_runs_on_devices_can_be_told_on_which(command, capsys):
    assert "on this machine" in refusal(command, capsys)


def test_the_message_is_one_screen_with_a_remedy_and_no_stack():
    command = [sys.executable, "-m", "launch.train", f"--platform={absent()}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == cli.BAD_INPUT and done.stdout == ""
    first, second, third = done.stderr.splitlines()
    assert first.startswith(f"error: --platform={absent()}: there is no ")
    assert second.startswith("  -> ") and "launch.doctor" in third


def test_nothing_is_left_in_a_work_directory(tmp_path):
    assert cli.guarded(train.main, [f"--platform={absent()}", f"--workdir={tmp_path}"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_platform_that_jax_has_is_accepted(capsys):
    assert cli.guarded(train.main, ["--platform=cpu", "--dry_run"]) == cli.SUCCESS


def test_an_unknown_platform_is_refused(capsys):
    assert cli.guarded(train.main, ["--platform=npu"]) == cli.BAD_INPUT
    assert "<|tpu|gpu|cpu>" in capsys.readouterr().err
