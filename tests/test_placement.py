"""Where arrays live changes no result: eight devices, in every mode, equal one."""

import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

import research
from tests.placements import MODELS, RESUMED, STEPS, TOLERANCE

REPOSITORY = pathlib.Path(research.__file__).parents[1]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What `tests.placements` finds, in a process with eight devices; one for all workers."""
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "placements"
    result = folder / "result.json"
    try:
        folder.mkdir()
    except FileExistsError:  # another worker is at it
        deadline = time.monotonic() + 900
        while not result.exists() and time.monotonic() < deadline:
            time.sleep(0.5)
    else:
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8"}
        ended = subprocess.run(
            [sys.executable, "-m", "tests.placements", str(folder), str(folder / "written.json")],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
        )
        if ended.returncode:
            (folder / "written.json").write_text(json.dumps({"failed": ended.stderr[-3000:]}))
        os.replace(folder / "written.json", result)
    values = json.loads(result.read_text())
    assert "failed" not in values, values["failed"]
    return values


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("mode", RESUMED)
def test_losses_equal_those_of_one_device_also_when_resumed_on_another_mesh(found, model, mode):
    expected, losses = found[model]["undisturbed"], found[model][mode]
    assert len(losses["train"]) == STEPS
    for split in ("train", "validation", "test"):
        np.testing.assert_allclose(losses[split], expected[split], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("mode", "collectives"),
    {
        "one device": [],
        "dp": ["all-reduce"],
        "pmap": ["all-reduce"],
        "fsdp": ["all-gather", "all-reduce"],
        "dp and tp": ["all-gather", "all-reduce"],
        "fsdp and tp": ["all-gather", "all-reduce"],
    }.items(),
)
def test_the_compiled_step_has_the_collectives_of_its_mode_alone(found, model, mode, collectives):
    assert found[model][mode]["collectives"] == collectives


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("mode", "share"),
    {"dp": 1, "pmap": 1, "fsdp": 1 / 8, "dp and tp": 1 / 2, "fsdp and tp": 1 / 8}.items(),
)
def test_each_device_holds_its_share_of_parameters_and_optimizer_state(found, model, mode, share):
    sizes = found[model][mode]["bytes"]
    for part in ("params", "opt_state"):
        whole, held = np.sum([sizes[name] for name in sizes if name.startswith(part)], axis=0)
        # Biases and scales, which are small, stay whole.
        assert share <= held / whole < 1.3 * share
