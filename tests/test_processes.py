"""Several processes train as one: tried on this machine, over loopback."""

import json
import os
import signal
import time

import numpy as np
import pytest

from launch import cli
from research.metrics import read
from tests.placements import COMMON, MODELS, TOLERANCE
from tests.pod import Pod
from tests.runs import experiment, run

TRAINING = [*COMMON, *MODELS["cnn"], "--config.mesh.mode=fsdp"]
ENDLESS = [
    "--config.steps=1000000",
    "--config.checkpoint.every_steps=1000000",
    "--config.evaluation.every_epochs=100000",
    "--config.logging.every_steps=5",
    "--config.model.widths=(16,)",
    "--heartbeat_timeout=10",
]


def losses(path):
    return [line["loss"] for line in read(path / "metrics.jsonl") if line["split"] == "train"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The losses of the same run in one process."""
    path = tmp_path_factory.mktemp("alone")
    run(experiment(*TRAINING), path)
    return losses(path)


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    """A run of two processes with four devices each: (path, how they ended)."""
    path = tmp_path_factory.mktemp("two")
    # A platform is asked for once the processes have joined: JAX must not start before.
    with Pod(path, 2, *TRAINING, "--platform=cpu") as pod:
        return path, pod.end()


def test_two_processes_give_the_losses_of_one(of_two, alone):
    path, ended = of_two
    assert [process.code for process in ended.values()] == [cli.SUCCESS] * 2, ended
    np.testing.assert_allclose(losses(path), alone, rtol=0, atol=TOLERANCE)


def test_the_first_process_alone_speaks_and_writes(of_two):
    path, ended = of_two
    assert "8 × cpu (cpu), mesh data:8, fsdp, 2 processes" in ended[0].output
    assert "batch 64 global, 8 a device" in ended[0].output
    spoken = [line for line in ended[1].output.splitlines() if "Gloo" not in line]
    assert spoken == []
    assert [line["step"] for line in read(path / "metrics.jsonl") if line["split"] == "train"] == [
        *range(1, 51)
    ]


def test_a_checkpoint_of_two_processes_is_used_by_one(of_two):
    from research.restoring import evaluate_checkpoint

    path, _ = of_two
    expected = json.loads((path / "summary.json").read_text())["test"]
    found = evaluate_checkpoint(str(path), "test").results["test"]
    assert found.accuracy == expected["accuracy"]
    np.testing.assert_allclose(found.loss, expected["loss"], rtol=0, atol=TOLERANCE)


def test_four_processes_go_on_where_one_was_stopped(tmp_path, alone):
    run(experiment(*TRAINING), tmp_path, stop_after=25)
    with Pod(tmp_path, 4, *TRAINING, "--config.mesh.shape=data:4,model:2") as pod:
        ended = pod.end()
    assert [process.code for process in ended.values()] == [cli.SUCCESS] * 4, ended
    np.testing.assert_allclose(losses(tmp_path), alone, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_one_of_two_stops_both_after_the_same_step(tmp_path, number):
    with Pod(tmp_path, 2, *ENDLESS) as pod:
        pod.wait_for("ETA")
        os.kill(pod.processes[1].pid, number)
        ended = pod.end()
    assert [process.code for process in ended.values()] == [cli.STOPPED] * 2, ended
    saved = [int(path.name) for path in (tmp_path / "checkpoints").iterdir()]
    assert f"stopped by SIGTERM after step {saved[0]}; saved" in ended[0].output


def test_a_lost_process_ends_the_other_in_bounded_time_and_is_named(tmp_path):
    with Pod(tmp_path, 2, *ENDLESS) as pod:
        pod.wait_for("ETA")
        pod.processes[1].kill()
        start = time.monotonic()
        ended = pod.end()
        assert time.monotonic() - start < 40
    assert ended[0].code not in (cli.SUCCESS, cli.STOPPED)
    assert "The following tasks are unhealthy (stopped sending heartbeats):\n1\n" in ended[0].errors


def test_a_process_that_never_comes_is_named(tmp_path):
    (tmp_path / "processes").mkdir()
    (tmp_path / "processes" / "1").write_text("of an earlier run")
    os.utime(tmp_path / "processes" / "1", (0, 0))
    with Pod(tmp_path, 2, "--join_timeout=3", only=[0]) as pod:
        ended = pod.end()
    assert ended[0].code == cli.BAD_INPUT
    assert ended[0].errors.startswith(
        "error: not all processes joined the run within 3 s; missing: process 1 of 2. Start all"
    )


def test_processes_with_different_experiments_are_refused(tmp_path):
    with Pod(tmp_path, 2, process_1=["--config.seed=5"]) as pod:
        ended = pod.end()
    for process in ended.values():
        assert process.code == cli.BAD_INPUT
        assert (
            "error: the experiment of process 1 differs from that of process 0." in process.errors
        )
    assert not (tmp_path / "experiment.json").exists()


def test_what_the_first_refuses_all_refuse(tmp_path):
    (tmp_path / "checkpoints" / "5").mkdir(parents=True)
    with Pod(tmp_path, 2) as pod:
        ended = pod.end()
    for process in ended.values():
        assert process.code == cli.BAD_INPUT
        assert "holds checkpoints but no experiment.json" in process.errors


def test_pmap_of_several_processes_is_refused(tmp_path):
    with Pod(tmp_path, 2, "--config.mesh.mode=pmap") as pod:
        ended = pod.end()
    assert {process.code for process in ended.values()} == {cli.BAD_INPUT}
    assert "config.mesh.mode: pmap runs in one process" in ended[0].errors
