"""Evaluation counts every example exactly once, whatever the batch size."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import SingleDeviceSharding
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from research.evaluation import Result, confusion_table, evaluate, evaluate_with_average
from research.optimizers.sgd import Sgd
from tests import tiny

SPLIT = tiny.split(17, seed=3)


@pytest.fixture(scope="module")
def sharding():
    return SingleDeviceSharding(jax.devices()[0])


@pytest.fixture(scope="module")
def steps():
    return tiny.steps(tiny.experiment(optimizer=Sgd(learning_rate=0.1, ema_decay=0.5)))


@pytest.fixture(scope="module")
def state(steps):
    state = steps.init()
    for seed in range(3):
        state, _ = steps.train_step(state, tiny.batch(12, seed))
    return state


@pytest.fixture(scope="module")
def whole(steps, state, sharding):
    return evaluate(steps.eval_step, state, SPLIT, len(SPLIT), sharding)


def test_result_of_one_batch_is_that_of_the_evaluation_step(steps, state, whole):
    sums = steps.eval_step(state, tiny.masked(SPLIT.gather(np.arange(17))))
    assert whole.loss == pytest.approx(float(sums["loss"]) / 17)
    np.testing.assert_array_equal(whole.confusion, sums["confusion"])
    assert (whole.examples, whole.confusion.dtype) == (17, np.int64)
    assert whole.accuracy == np.trace(whole.confusion) / 17
    np.testing.assert_array_equal(whole.confusion.sum(axis=1), np.bincount(SPLIT.labels))


@pytest.mark.parametrize("global_batch_size", [1, 4, 16, 18, 50])
def test_result_is_independent_of_the_batch_size(steps, state, whole, sharding, global_batch_size):
    found = evaluate(steps.eval_step, state, SPLIT, global_batch_size, sharding)
    np.testing.assert_array_equal(found.confusion, whole.confusion)
    assert found.accuracy == whole.accuracy
    assert found.loss == pytest.approx(whole.loss, rel=1e-6)


@pytest.mark.parametrize("global_batch_size", [1, 4, 17, 50])
def test_every_example_is_evaluated_once_and_in_batches_of_one_shape(
    state, sharding, global_batch_size
):
    seen, shapes = [], set()

    def eval_step(_, batch):
        shapes.add(batch["input"].shape)
        seen.extend(np.asarray(batch["input"])[np.asarray(batch["mask"])])
        return {"loss": 0.0, "confusion": np.ones((1, 1), np.int32)}

    evaluate(eval_step, state, SPLIT, global_batch_size, sharding)
    np.testing.assert_array_equal(seen, SPLIT.examples.inputs)
    assert shapes == {(global_batch_size, *tiny.IMAGE_SHAPE)}


def test_average_is_evaluated_beside_the_parameters(steps, state, sharding):
    found = evaluate_with_average(steps.eval_step, state, SPLIT, "validation", 17, sharding)
    assert list(found) == ["validation", "validation_average"]
    as_parameters = state.replace(params=state.average)
    expected = evaluate(steps.eval_step, as_parameters, SPLIT, 17, sharding)
    assert found["validation_average"].loss == expected.loss != found["validation"].loss


def test_parameters_are_evaluated_alone_where_no_average_is_kept(steps, state, sharding):
    alone = state.replace(average={})
    assert list(evaluate_with_average(steps.eval_step, alone, SPLIT, "test", 17, sharding)) == [
        "test"
    ]


def test_result_is_written_with_the_scores_of_every_class():
    result = Result(loss=0.5, confusion=np.array([[3, 1], [0, 4]]))
    assert result.as_dict(("cat", "dog")) == {
        "loss": 0.5,
        "accuracy": 0.875,
        "examples": 8,
        "macro_f1": (6 / 7 + 8 / 9) / 2,
        "classes": {
            "cat": {"precision": 1.0, "recall": 0.75, "f1": 6 / 7, "examples": 4},
            "dog": {"precision": 0.8, "recall": 1.0, "f1": 8 / 9, "examples": 4},
        },
    }


@given(st.integers(0, 2**32), st.integers(2, 5), st.integers(1, 60))
def test_scores_of_classes_are_those_of_scikit_learn(seed, classes, count):
    true, predicted = np.random.default_rng(seed).integers(0, classes, (2, count))
    confusion = confusion_matrix(true, predicted, labels=range(classes))
    found = Result(0.0, confusion).by_class([str(label) for label in range(classes)])
    expected = precision_recall_fscore_support(
        true, predicted, labels=range(classes), zero_division=np.nan
    )
    shares = [[np.nan if x is None else x for x in each.values()] for each in found.values()]
    # Where there is nothing to find and nothing was found, scikit-learn says NaN, too.
    np.testing.assert_allclose(shares, np.transpose(expected))
    mean = f1_score(true, predicted, average="macro")
    assert Result(0.0, confusion).as_dict(tuple(found))["macro_f1"] == pytest.approx(mean)


def test_confusion_table_reads_at_a_glance():
    confusion = np.array([[12, 3, 0], [1, 1004, 0], [5, 0, 0]])
    table = confusion_table(Result(0.1, confusion), ("Coat", "Ankle boot", "Bag"))
    assert table == (
        "rows: true class, columns: predicted class\n"
        "           Coat Ankl  Bag  recall    F1\n"
        "      Coat   12    3    0    0.80  0.73\n"
        "Ankle boot    1 1004    0    1.00  1.00\n"
        "       Bag    5    0    0    0.00  0.00\n"
        "           0.67 1.00    –  precision"
    )


def test_confusion_table_marks_classes_without_examples():
    table = confusion_table(Result(0.1, np.array([[2, 0], [0, 0]])), ("a", "b"))
    assert table.split("\n")[2:] == [
        "a    2    0    1.00  1.00",
        "b    0    0       –     –",
        "  1.00    –  precision",
    ]
