"""Several processes train as one: tried on this machine, over loopback."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from launch import cli
from research.errors import UserError
from research.metrics import read
from tests.bucket import free_port
from tests.faults import pods
from tests.faults.common import ENDLESS, OVERRIDES
from tests.placements import COMMON, MODELS, TOLERANCE
from tests.runs import experiment, run

TRAINING = [*OVERRIDES, *COMMON, *MODELS["cnn"], "--config.mesh.mode=fsdp"]


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
    """A run of two processes with four devices each: (path, what they printed, exit codes)."""
    path = tmp_path_factory.mktemp("two")
    port = free_port()
    processes = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "launch.train", f"--workdir={path}", *TRAINING),
                # Asked for once the processes have joined: JAX must not start before.
                "--platform=cpu",
                *(f"--coordinator=127.0.0.1:{port}", "--num_processes=2", f"--process_id={index}"),
            ],
            env={**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "4"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=240)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return path, outputs, [process.returncode for process in processes]


def test_two_processes_give_the_losses_of_one(of_two, alone):
    path, _, codes = of_two
    assert codes == [cli.SUCCESS] * 2
    np.testing.assert_allclose(losses(path), alone, rtol=0, atol=TOLERANCE)


def test_the_first_process_alone_speaks_and_writes(of_two):
    path, outputs, _ = of_two
    assert "8 × cpu (cpu), mesh data:8, fsdp, 2 processes" in outputs[0]
    assert "batch 64 global, 8 a device" in outputs[0]
    spoken = [line for line in outputs[1].splitlines() if "Gloo" not in line]
    assert spoken == []
    assert [line["step"] for line in read(path / "metrics.jsonl") if line["split"] == "train"] == [
        *range(1, 51)
    ]


def test_a_checkpoint_of_two_processes_is_used_by_one(of_two):
    from research.restoring import evaluate_checkpoint

    path, *_ = of_two
    expected = json.loads((path / "summary.json").read_text())["test"]
    found = evaluate_checkpoint(str(path), "test").results["test"]
    assert found.accuracy == expected["accuracy"]
    np.testing.assert_allclose(found.loss, expected["loss"], rtol=0, atol=TOLERANCE)


def test_four_processes_go_on_where_one_was_stopped(tmp_path, alone):
    run(experiment(*TRAINING), tmp_path, stop_after=25)
    shape = "--config.mesh.shape=data:4,model:2"
    ended = pods.ended(tmp_path, *TRAINING, shape, of=4, devices=2)
    assert [process.code for process in ended] == [cli.SUCCESS] * 4, ended
    np.testing.assert_allclose(losses(tmp_path), alone, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_one_of_two_stops_both_after_the_same_step(tmp_path, number):
    first, second = pods.members(tmp_path, *ENDLESS)
    first.wait_for("ETA")
    os.kill(second.pid, number)
    first, second = first.ended(), second.ended()
    assert first.code == second.code == cli.STOPPED, (first, second)
    (saved,) = (path.name for path in (tmp_path / "checkpoints").iterdir())
    assert f"stopped by SIGTERM after step {saved}; saved" in first.output


def test_processes_with_different_experiments_are_refused(tmp_path):
    for process in pods.ended(tmp_path, own=["--config.seed=5"]):
        assert process.refused("the experiment of process 1 differs from that of process 0.")
    assert not (tmp_path / "experiment.json").exists()


def test_what_the_first_refuses_all_refuse(tmp_path):
    (tmp_path / "checkpoints" / "5").mkdir(parents=True)
    for process in pods.ended(tmp_path):
        assert process.refused("holds checkpoints but no experiment.json")


def test_what_one_alone_refuses_ends_the_others_who_say_so(tmp_path):
    first, second = pods.ended(tmp_path, fault=lose_data)
    assert second.refused("error: the data are not on this machine")
    assert first.refused("error: process 1 of 2 ended: the data are not on this machine")


def lose_data():
    """Has a process find no data."""
    from research import training

    def open_dataset(_):
        raise UserError("the data are not on this machine")

    training.open_dataset = open_dataset


def test_pmap_of_several_processes_is_refused(tmp_path):
    first, second = pods.ended(tmp_path, "--config.mesh.mode=pmap")
    assert first.refused("config.mesh.mode: pmap runs in one process")
    assert second.refused()
