"""A step made again is the very step that the run made, and names what broke it."""

import pytest

from launch import cli, replay
from research import metrics
from research.errors import DivergedError, UserError
from research.replay import replay as replayed
from tests.faults.nonfinite import break_step
from tests.runs import experiment, run

OVERRIDES = [
    "--config.steps=8",
    "--config.model.widths=(8,)",
    "--config.model.dropout_rate=0.5",
    "--config.optimizer.name=momentum",
    "--config.logging.every_steps=1",
    "--config.logging.tensorboard=false",
    "--config.checkpoint.every_steps=3",
    "--config.checkpoint.keep=9",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished")
    run(experiment(*OVERRIDES), path)
    return path


@pytest.mark.parametrize(("step", "start"), [(3, 0), (4, 3), (8, 6)])
def test_the_step_is_reached_from_the_checkpoint_before_it_and_is_the_same(finished, step, start):
    found = replayed(finished, step)
    assert found.start == start and found.findings == []
    (line,) = (
        line
        for line in metrics.read(finished / "metrics.jsonl")
        if line["step"] == step and line["split"] == "train"
    )
    for name in ("loss", "gradient_norm", "learning_rate"):
        assert found.compiled[name] == line[name]
        assert found.metrics[name] == pytest.approx(line[name], rel=1e-5)


@pytest.mark.parametrize("step", [0, 9])
def test_a_step_that_the_run_does_not_have_is_refused(finished, step):
    with pytest.raises(UserError, match=rf"--step={step}: the run has the steps 1 to 8"):
        replayed(finished, step)


def test_the_end_of_a_run_names_the_command_that_names_the_operation(monkeypatch, tmp_path, capsys):
    break_step(5, monkeypatch.setattr)
    with pytest.raises(DivergedError, match="not a finite number at step 5; .* of step 3") as error:
        run(experiment(*OVERRIDES), tmp_path)
    _, _, _, *arguments = next(
        line.split() for line in str(error.value).splitlines() if "launch.replay" in line
    )
    assert cli.guarded(replay.main, arguments) == cli.SUCCESS
    shown = capsys.readouterr().out
    assert "step 5, reached from the checkpoint of step 3:" in shown
    assert "first NaN: log in the loss (forward), tests/faults/nonfinite.py:" in shown
    assert "compiled: loss nan" in shown


def test_a_run_may_skip_the_step_and_goes_on(monkeypatch, tmp_path):
    break_step(5, monkeypatch.setattr)
    outcome = run(experiment(*OVERRIDES, "--config.optimizer.apply_if_finite=1"), tmp_path)
    assert outcome.step == 8
    lines = [line for line in metrics.read(tmp_path / "metrics.jsonl") if line["split"] == "train"]
    assert [line["skipped_steps"] for line in lines] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert [line["step"] for line in lines if line["loss"] is None] == [5]
