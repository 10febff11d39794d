"""What is read back from a finished run is what the run measured."""

import numpy as np
import pytest

from research.course.trained import Trained
from tests.runs import experiment, run

COMMON = ["--config.steps=30", "--config.logging.every_steps=10", "--config.logging.tensorboard=0"]
RUNS = {
    "an output a class": ["--config.model.widths=(8,)"],
    "one output for two classes": [
        "--config.data.name=logic", "--config.loss.name=sigmoid_cross_entropy",
    ],
}  # fmt: skip


@pytest.fixture(scope="module", params=RUNS)
def finished(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    run(experiment(*COMMON, *RUNS[request.param]), path)
    return Trained(path)


def test_probabilities_are_those_that_the_run_was_measured_by(finished):
    test = finished.dataset.read_test()
    rows = test.gather(np.arange(len(test)))
    found = finished.probabilities(rows["input"])
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    of_truth = found[np.arange(len(test)), rows["label"]]
    assert finished.summary["test"]["loss"] == pytest.approx(-np.log(of_truth).mean(), rel=1e-4)
    accuracy = (found.argmax(axis=1) == rows["label"]).mean()
    assert finished.summary["test"]["accuracy"] == pytest.approx(accuracy)


def test_series_are_the_lines_of_the_split(finished):
    steps, losses = finished.series("train", "loss")
    assert steps.tolist() == [10, 20, 30] and losses.dtype == np.float64
    expected = [line["loss"] for line in finished.lines if line["split"] == "train"]
    assert losses.tolist() == expected


def test_arrays_are_those_of_the_last_checkpoint(finished):
    found = finished.array("params/logits/kernel")
    np.testing.assert_array_equal(found, finished._restored.state.params["logits"]["kernel"])
