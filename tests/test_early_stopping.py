"""Training ends once validation has not improved for a while, and is then finished."""

import io
import json

import jax
import numpy as np
import pytest

from research.metrics import read
from tests.runs import experiment, final_state, run

PATIENCE = 3
# So large a learning rate that validation soon stops improving.
EXPERIMENT = experiment(
    "--config.epochs=100",
    "--config.optimizer.learning_rate=3e-2",
    "--config.evaluation.every_epochs=0.5",
    f"--config.evaluation.patience={PATIENCE}",
    "--config.evaluation.test_checkpoint=best",
    "--config.logging.tensorboard=false",
    "--config.logging.every_steps=10",
    "--config.model.widths=(16,)",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The work directory of a run, and what it said."""
    path, output = tmp_path_factory.mktemp("finished"), io.StringIO()
    run(EXPERIMENT, path, output=output)
    return path, output.getvalue()


def scores(path):
    """Step and score of each evaluation."""
    lines = [line for line in read(path / "metrics.jsonl") if line["split"] == "validation"]
    return [(line["step"], (line["accuracy"], -line["loss"])) for line in lines]


def test_run_ends_when_the_last_evaluations_were_not_better(finished):
    path, output = finished
    steps, found = zip(*scores(path), strict=True)
    best = max(range(len(found)), key=lambda i: found[i])
    assert len(found) == best + 1 + PATIENCE
    summary = json.loads((path / "summary.json").read_text())
    assert summary["stopped_early"] and summary["epochs"] < 100
    assert (summary["step"], summary["best_step"]) == (steps[-1], steps[best])
    assert summary["test_step"] == steps[best]
    assert (
        f"stopped early after step {steps[-1]}: no evaluation was better than that of step "
        f"{steps[best]}"
    ) in output


def test_same_command_again_finds_the_run_finished(finished):
    path, _ = finished
    before, output = scores(path), io.StringIO()
    assert run(EXPERIMENT, path, output=output).summary["stopped_early"]
    assert "this run is finished" in output.getvalue()
    assert scores(path) == before


def test_interrupted_run_ends_at_the_same_step(finished, tmp_path):
    path, _ = finished
    while run(EXPERIMENT, tmp_path, stop_after=90).stopped:
        pass
    assert (tmp_path / "metrics.jsonl").read_text() == (path / "metrics.jsonl").read_text()
    jax.tree.map(
        np.testing.assert_array_equal,
        final_state(EXPERIMENT, path),
        final_state(EXPERIMENT, tmp_path),
    )
