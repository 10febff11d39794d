"""What earlier versions wrote is read, bit for bit, and gone on with."""

import json
import shutil

import pytest

from launch.flags import load_recorded
from research import manifest, metrics
from research.checkpoint_files import read_arrays
from research.restoring import evaluate_checkpoint
from tests import golden
from tests.runs import run

ARCHIVES = sorted(golden.FOLDER.glob("*/*.zip"))


@pytest.fixture(params=ARCHIVES, ids=[f"{path.parent.name}-{path.stem}" for path in ARCHIVES])
def kept(request, tmp_path):
    """Returns (work directory, what is to be found there)."""
    shutil.unpack_archive(request.param, tmp_path / "run")
    return tmp_path / "run", json.loads((tmp_path / "run" / golden.EXPECTED).read_text())


def test_there_are_golden_runs():
    assert {path.stem for path in ARCHIVES} == set(golden.RUNS)


def test_arrays_are_read_bit_for_bit(kept):
    path, expected = kept
    checkpoint = path / "checkpoints" / str(golden.STOPPED_AFTER)
    assert manifest.damage(checkpoint) == []
    assert golden.digests(read_arrays(checkpoint)) == expected["digests"]


def test_the_checkpoint_is_evaluated_and_the_run_goes_on_to_its_end(kept):
    path, expected = kept
    results = evaluate_checkpoint(str(path)).results
    assert results.keys() == expected["results"].keys()
    for name, result in results.items():
        # The data is what it was; arithmetic may differ in its rounding.
        assert result.examples == expected["results"][name]["examples"]
        assert result.loss == pytest.approx(expected["results"][name]["loss"], rel=1e-3)
    before = list(metrics.read(path / "metrics.jsonl"))
    finished = run(load_recorded(path / "experiment.json"), path)
    assert finished.step == expected["finished"]["step"]
    loss = expected["finished"]["test"]["loss"]
    assert finished.summary["test"]["loss"] == pytest.approx(loss, rel=1e-2)
    assert list(metrics.read(path / "metrics.jsonl"))[: len(before)] == before
