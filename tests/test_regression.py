"""Numbers to be predicted: what is minimised, measured and refused; scikit-learn is the oracle."""

import io
import json

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from launch import cli, evaluate
from research import metrics
from research.checkpoint_files import read_arrays
from research.data.csv_table import Csv
from research.data.splits import open_dataset
from research.data.summary import stand_in, summarize
from research.errors import UserError
from research.evaluation import NumbersResult
from research.experiment import timetable
from research.objectives import MeanSquaredError, objective
from research.program import make_program
from tests.runs import experiment, run

STEPS = 1500


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A file with scikit-learn's diabetes data: ten columns and the progression after a year."""
    data = load_diabetes(scaled=False)
    path = tmp_path_factory.mktemp("table") / "diabetes.csv"
    rows = np.column_stack([data.data, data.target])
    head = ",".join([*data.feature_names, "target"])
    np.savetxt(path, rows, fmt="%.6g", delimiter=",", header=head, comments="")
    return path


def options(path, *more):
    return [
        "--config.data.name=csv", f"--config.data.path={path}", "--config.data.label=target",
        "--config.data.regression", "--config.loss.name=mse", "--config.model.name=perceptron",
        "--config.global_batch_size=310", f"--config.steps={STEPS}",
        "--config.optimizer.learning_rate=0.1", "--config.optimizer.schedule.name=warmup_cosine",
        "--config.evaluation.every_epochs=1000", "--config.logging.tensorboard=false", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def finished(table, tmp_path_factory):
    """A linear model that was trained on it: (work directory, data set, what was said)."""
    path, said = tmp_path_factory.mktemp("run"), io.StringIO()
    chosen = experiment(*options(table))
    run(chosen, path, output=said)
    return path, open_dataset(chosen.data), said.getvalue()


def split_of(split):
    rows = split.gather(np.arange(len(split)))
    return rows["input"].astype(np.float64), rows["label"].astype(np.float64)


@pytest.fixture(scope="module")
def predicted(finished):
    """The numbers of the test split, and what numpy makes of the weights that were saved."""
    path, dataset, _ = finished
    arrays = read_arrays(path / "checkpoints" / str(STEPS))
    inputs, truth = split_of(dataset.read_test())
    standard = (inputs - dataset.mean) / dataset.std
    outputs = standard @ arrays["params/logits/kernel"] + arrays["params/logits/bias"]
    mean, std = (arrays[f"normalization/target_{name}"] for name in ("mean", "std"))
    return truth, outputs[:, 0] * std + mean


def test_measures_are_those_of_scikit_learn(finished, predicted):
    found = json.loads((finished[0] / "summary.json").read_text())["test"]
    truth, predictions = predicted
    assert found["examples"] == len(truth)
    assert found["mse"] == pytest.approx(mean_squared_error(truth, predictions), rel=1e-4)
    assert found["mae"] == pytest.approx(mean_absolute_error(truth, predictions), rel=1e-4)
    assert found["r2"] == pytest.approx(r2_score(truth, predictions), abs=1e-4)


def test_linear_model_ends_at_least_squares(finished, predicted):
    _, dataset, _ = finished
    inputs, truth = split_of(dataset.train)
    fitted = LinearRegression().fit(inputs, truth)
    expected = fitted.predict(split_of(dataset.read_test())[0])
    assert np.abs(predicted[1] - expected).max() < 0.01 * truth.std()


def test_loss_is_that_of_standardised_numbers_and_mse_in_their_unit(finished):
    path, dataset, _ = finished
    _, std = dataset.target
    assert std == pytest.approx(split_of(dataset.train)[1].std(), rel=1e-6)
    for line in metrics.read(path / "metrics.jsonl"):
        assert line["mse"] == pytest.approx(line["loss"] * float(std) ** 2, rel=1e-5)
        assert "accuracy" not in line


def test_screen_files_and_curves_speak_of_r2_in_place_of_accuracy(finished, capsys):
    path, _, said = finished
    assert "test R² 0." in said and "accuracy" not in said
    assert "best_validation_r2" in json.loads((path / "summary.json").read_text())
    assert (path / "learning_curves.png").stat().st_size > 10_000
    assert cli.guarded(evaluate.main, [f"--workdir={path}", "--best"]) == cli.SUCCESS
    shown = capsys.readouterr().out
    assert "R² 0." in shown and "MSE" in shown and "MAE" in shown and "recall" not in shown


def test_splits_are_cut_of_numbers_without_classes(table):
    dataset = open_dataset(Csv(path=str(table), label="target", regression=True))
    assert dataset.class_names == () and dataset.train.labels.dtype == np.float32
    sizes = [len(dataset.train), len(dataset.validation), len(dataset.read_test())]
    assert sizes == [310, 44, 88]


def test_objective_of_numbers_is_their_squared_error():
    goal = objective(MeanSquaredError(), num_classes=0)
    outputs = np.array([[1.5], [-2.0]], np.float32)
    labels = np.array([1.0, 1.0], np.float32)
    assert goal.num_outputs == 1
    np.testing.assert_allclose(goal.train(outputs, labels), [0.25, 9.0])
    np.testing.assert_allclose(goal.evaluate(outputs, labels), [0.25, 9.0])
    assert not goal.correct(outputs, labels).any()


def test_result_that_explains_more_is_the_better_one():
    worse, better = (
        NumbersResult(loss=loss, mse=4 * loss, mae=loss, r2=1 - loss, count=9)
        for loss in (0.5, 0.25)
    )
    assert better.score > worse.score == (0.5, -0.5)
    assert better.text() == "R² 0.7500  MSE 1  MAE 0.25  loss 0.2500"


def test_run_is_planned_as_it_is_trained(table):
    chosen = experiment(*options(table))
    summary = summarize(chosen.data)
    assert (summary.num_classes, summary.train) == (0, 310)
    shapes = [
        make_program(chosen, timetable(chosen, 310), data).state_shapes
        for data in (stand_in(summary), open_dataset(chosen.data))
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--config.loss.name=softmax_cross_entropy", "takes classes; config.data.regression gives"),
        ("--config.loss.label_smoothing=0.1", "config.loss.label_smoothing: is about classes"),
        ("--config.loss.class_weights=(1.0,2.0)", "config.loss.class_weights: is about classes"),
        ("--config.data.balance=weights", "config.data.balance: is about classes"),
        ("--config.data.balance=smote", "config.data.balance: is about classes"),
        ("--config.data.classes=('1','2')", "config.data.classes: is about classes"),
    ],
)
def test_what_is_about_classes_is_refused(table, override, message):
    with pytest.raises(UserError, match=message):
        experiment(*options(table, override))


@pytest.mark.parametrize(
    ("scale", "reason"),
    [(0.5, "'0.5' is a number with a fraction"), (1, "holds 40 different numbers in 40 rows")],
)
def test_numbers_for_classes_are_answered_with_the_way_to_predict_them(tmp_path, scale, reason):
    rows = "".join(f"{i},{i * scale:g}\n" for i in range(40))
    (tmp_path / "a.csv").write_text(f"x,label\n{rows}")
    with pytest.raises(UserError) as error:
        open_dataset(Csv(path=str(tmp_path / "a.csv")))
    assert reason in str(error.value)
    assert "give --config.data.regression --config.loss.name=mse" in str(error.value)


@pytest.mark.parametrize(
    ("cell", "message"),
    [("high", "line 3, column 'label': 'high' is no number"), ("", "the value is missing")],
)
def test_target_that_is_no_number_is_named_with_its_line(tmp_path, cell, message):
    rows = "".join(f"{i},{i}.5\n" for i in range(40))
    (tmp_path / "a.csv").write_text(f"x,label\n-1,0.5\n-2,{cell}\n{rows}")
    with pytest.raises(UserError, match=message):
        open_dataset(Csv(path=str(tmp_path / "a.csv"), regression=True))


def test_numbers_that_are_all_equal_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("x,label\n" + "".join(f"{i},7\n" for i in range(40)))
    with pytest.raises(UserError, match="all examples of train say 7.0; there is nothing"):
        open_dataset(Csv(path=str(tmp_path / "a.csv"), regression=True))
