"""Cores as devices: for whom, how many, and that a run takes them."""

import json
import os
import subprocess
import sys

import jax
import pytest

from launch import cores
from launch.flags import DEFAULT_CONFIG, make_experiment
from research.run_options import Mesh

CNN = ["--config.model.name=cnn", "--config.model.stages=((4,),)", "--config.model.widths=(8,)"]


@pytest.fixture
def devices(monkeypatch):
    """How many devices a CPU of six cores is to have under some flags and environment."""
    asked = []
    monkeypatch.setattr(jax.config, "update", lambda name, value: asked.append((name, value)))
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.setattr(jax, "__version_info__", (0, 10, 2))
    monkeypatch.delenv("JAX_NUM_CPU_DEVICES", raising=False)

    def prepare(*flags):
        asked.clear()
        cores.prepare(make_experiment(DEFAULT_CONFIG, list(flags)))
        assert all(name == "jax_num_cpu_devices" for name, _ in asked)
        return asked[0][1] if asked else None

    return prepare


def test_replicas_have_all_and_convolutions_as_many_as_share_a_batch_evenly(devices):
    assert devices("--config.population.seeds=5") == 6
    assert devices(*CNN, "--config.global_batch_size=128") == 4
    even = "--config.global_batch_size=96", "--config.evaluation.global_batch_size=96"
    assert devices(*CNN, *even) == 6
    assert devices(*CNN, "--config.global_batch_size=25") is None
    assert devices("--config.model.name=mlp") is None


def test_whoever_chose_a_mesh_or_devices_has_them(devices, monkeypatch):
    assert devices(*CNN, "--config.mesh.mode=fsdp") is None
    assert devices(*CNN, "--config.mesh.shape=data:1") is None
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")
    assert devices(*CNN) is None
    assert devices("--config.population.seeds=5") is None


def test_newer_libraries_compute_convolutions_on_all_cores_by_themselves(devices, monkeypatch):
    monkeypatch.setattr(jax, "__version_info__", (0, 11, 0))
    assert devices(*CNN) is None
    assert devices("--config.population.seeds=5") == 6


def test_where_jax_has_started_its_devices_stay_and_so_does_the_mesh(monkeypatch):
    assert jax.device_count() == 1
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.setattr(jax, "__version_info__", (0, 10, 2))
    monkeypatch.delenv("JAX_NUM_CPU_DEVICES", raising=False)
    chosen = make_experiment(DEFAULT_CONFIG, CNN)
    cores.prepare(chosen)
    assert cores.spread(chosen).mesh == Mesh() and jax.device_count() == 1


def test_a_run_of_a_convolutional_network_takes_them(tmp_path):
    environment = {name: v for name, v in os.environ.items() if name != "JAX_NUM_CPU_DEVICES"}
    flags = [*CNN, "--config.global_batch_size=128", "--config.steps=4"]
    run = subprocess.run(
        [sys.executable, "-m", "launch.train", "--platform=cpu", f"--workdir={tmp_path}", *flags],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    takes_cores = jax.__version_info__ < (0, 11) and os.cpu_count() > 1
    assert ("pmap" in run.stdout + run.stderr) == takes_cores
    assert json.loads((tmp_path / "summary.json").read_text())["step"] == 4
