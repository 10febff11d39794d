"""A run that was stopped and resumed equals one that was not, bit for bit."""

import jax
import numpy as np
import pytest

from tests.runs import experiment, final_state, run

COMMON = [
    "--config.steps=50",
    "--config.logging.every_steps=7",
    "--config.logging.tensorboard=false",
    "--config.checkpoint.every_steps=10",
    "--config.optimizer.ema_decay=0.9",
    "--config.model.batch_norm=true",
]
EXPERIMENTS = {
    "mlp": COMMON,
    "cnn": [
        *COMMON,
        "--config.model.name=cnn",
        "--config.model.stages=((4,),(8,))",
        "--config.model.dropout_rate=0.3",
        "--config.model.compute_dtype=bfloat16",
        "--config.optimizer.name=momentum",
        "--config.optimizer.accumulate_steps=3",
        "--config.optimizer.clip_norm=1",
        "--config.optimizer.l1=1e-4",
        "--config.optimizer.schedule.name=one_cycle",
    ],
}


@pytest.fixture(scope="module", params=EXPERIMENTS)
def uninterrupted(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("uninterrupted")
    chosen = experiment(*EXPERIMENTS[request.param])
    run(chosen, path)
    return chosen, path


# An epoch is 19.7 steps long: inside the first, at its end, in the second, at
# a checkpoint, between two lines of metrics and two updates, before the end.
@pytest.mark.parametrize("stop_after", [3, 20, 30, 43, 49])
def test_resumed_run_equals_uninterrupted_one(uninterrupted, tmp_path, stop_after):
    chosen, whole = uninterrupted
    stopped = run(chosen, tmp_path, stop_after)
    assert stopped.stopped == "test" and stopped.step == stop_after
    run(chosen, tmp_path)

    expected, resumed = final_state(chosen, whole), final_state(chosen, tmp_path)
    jax.tree.map(np.testing.assert_array_equal, expected, resumed)
    assert (tmp_path / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()


def test_stopping_at_every_few_steps_changes_nothing(uninterrupted, tmp_path):
    chosen, whole = uninterrupted
    while run(chosen, tmp_path, stop_after=11).stopped:
        pass
    jax.tree.map(
        np.testing.assert_array_equal, final_state(chosen, whole), final_state(chosen, tmp_path)
    )
    assert (tmp_path / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()


def test_every_line_of_metrics_is_there_once(uninterrupted):
    _, whole = uninterrupted
    from research.metrics import read

    steps = {
        split: [line["step"] for line in read(whole / "metrics.jsonl") if line["split"] == split]
        for split in ("train", "validation", "validation_average")
    }
    assert steps["train"] == [7, 14, 21, 28, 35, 42, 49, 50]
    assert steps["validation"] == steps["validation_average"] == [50]
