"""How the batch is divided changes no augmentation, also not one that pairs examples."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import research
from tests.augmentation.modes import MODES


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What `tests.augmentation.modes` finds, in a process with eight devices."""
    path = tmp_path_factory.mktemp("modes") / "result.json"
    subprocess.run(
        [sys.executable, "-m", "tests.augmentation.modes", str(path)],
        cwd=pathlib.Path(research.__file__).parents[1],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8"},
        check=True,
    )
    return json.loads(path.read_text())


@pytest.mark.parametrize("mode", MODES)
def test_training_with_augmentation_is_that_on_one_device(found, mode):
    losses = found["one device"]["losses"]
    assert len(set(losses)) == 4
    np.testing.assert_allclose(found[mode]["losses"], losses, rtol=0, atol=2e-6)


@pytest.mark.parametrize("mode", ["dp", "pmap"])
def test_devices_exchange_no_more_than_the_examples_at_their_borders(found, mode):
    # No all-gather: each device augments its own examples.
    assert found[mode]["collectives"] == ["all-reduce", "collective-permute"]
