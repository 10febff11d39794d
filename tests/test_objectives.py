"""Losses against their formulas, and against PyTorch and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Perceptron

from research.errors import UserError
from research.objectives import (
    LOSSES,
    Focal,
    MeanSquaredError,
    PerceptronCriterion,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    objective,
)

LOGITS = np.random.default_rng(0).normal(scale=3, size=(7, 4))
LABELS = np.arange(7) % 4
ONE_LOGIT, TWO_LABELS = LOGITS[:, :1], np.arange(7) % 2


def train(loss, logits=LOGITS, labels=LABELS, num_classes=4):
    """What training minimises, computed in float64."""
    with jax.enable_x64(True):
        goal = objective(loss, num_classes)
        return np.asarray(goal.train(jnp.asarray(logits), jnp.asarray(labels)))


def evaluate(loss, logits=LOGITS, labels=LABELS, num_classes=4):
    """What evaluation reports, computed in float64."""
    with jax.enable_x64(True):
        goal = objective(loss, num_classes)
        return np.asarray(goal.evaluate(jnp.asarray(logits), jnp.asarray(labels)))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def binary_cross_entropy(z, targets):
    return -(targets * np.log(sigmoid(z)) + (1 - targets) * np.log(sigmoid(-z))).sum(axis=1)


def test_softmax_cross_entropy_is_the_negative_log_probability_of_the_label():
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    expected = -np.log(probabilities[np.arange(7), LABELS])
    np.testing.assert_allclose(train(SoftmaxCrossEntropy()), expected, rtol=1e-12)


def test_softmax_cross_entropy_of_equal_logits_is_the_log_of_their_number():
    found = objective(SoftmaxCrossEntropy(), 10).train(jnp.zeros((2, 10)), jnp.array([0, 9]))
    np.testing.assert_allclose(found, np.log(10), rtol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        SoftmaxCrossEntropy(),
        SigmoidCrossEntropy(),
        *(Focal(gamma=g) for g in (0.0, 0.5, 1.0, 2.0)),
    ],
    ids=str,
)
def test_loss_of_large_logits_is_finite_and_so_is_its_gradient(loss):
    logits = jnp.array([[1e4, -1e4, 0], [1e4, -1e4, 0]])
    goal = objective(loss, 3)
    value, gradient = jax.value_and_grad(
        lambda logits: goal.train(logits, jnp.array([0, 1])).sum()
    )(logits)
    assert 1e3 < value < 1e5 and jnp.isfinite(gradient).all()


def test_gradient_of_softmax_cross_entropy_is_probability_minus_indicator():
    goal = objective(SoftmaxCrossEntropy(), 4)
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    found = jax.grad(lambda logits: goal.train(logits, LABELS).sum())(jnp.asarray(LOGITS))
    np.testing.assert_allclose(found, probabilities - np.eye(4)[LABELS], atol=1e-6)


def test_sigmoid_cross_entropy_has_one_output_for_two_classes_and_one_each_for_more():
    binary, several = objective(SigmoidCrossEntropy(), 2), objective(SigmoidCrossEntropy(), 4)
    assert (binary.num_outputs, several.num_outputs) == (1, 4)
    np.testing.assert_allclose(
        train(SigmoidCrossEntropy(), ONE_LOGIT, TWO_LABELS, 2),
        binary_cross_entropy(ONE_LOGIT, TWO_LABELS[:, None]),
        rtol=1e-12,
    )
    expected = binary_cross_entropy(LOGITS, np.eye(4)[LABELS])
    np.testing.assert_allclose(train(SigmoidCrossEntropy()), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("labels", "logits", "num_classes"), [(LABELS, LOGITS, 4), (TWO_LABELS, ONE_LOGIT, 2)]
)
def test_focal_loss_without_focus_and_weights_is_cross_entropy(labels, logits, num_classes):
    found = train(Focal(gamma=0.0, alpha=0.0), logits, labels, num_classes)
    expected = train(SigmoidCrossEntropy(), logits, labels, num_classes)
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_focal_loss_equals_its_formula():
    t, p = np.eye(4)[LABELS], sigmoid(LOGITS)
    p_true, alpha = t * p + (1 - t) * (1 - p), t * 0.3 + (1 - t) * 0.7
    expected = -(alpha * (1 - p_true) ** 1.5 * np.log(p_true)).sum(axis=1)
    np.testing.assert_allclose(train(Focal(gamma=1.5, alpha=0.3)), expected, rtol=1e-10)


def test_mean_squared_error_takes_classes_for_zeros_and_ones():
    expected = ((LOGITS - np.eye(4)[LABELS]) ** 2).mean(axis=1)
    np.testing.assert_allclose(train(MeanSquaredError()), expected, rtol=1e-12)
    found = train(MeanSquaredError(), ONE_LOGIT, TWO_LABELS, 2)
    np.testing.assert_allclose(found, (ONE_LOGIT[:, 0] - TWO_LABELS) ** 2, rtol=1e-12)


def test_perceptron_criterion_is_the_size_of_wrong_outputs():
    z, t = ONE_LOGIT[:, 0], TWO_LABELS
    expected = np.where((z > 0) == (t == 1), 0, np.abs(z))
    np.testing.assert_allclose(train(PerceptronCriterion(), ONE_LOGIT, t, 2), expected)


def test_perceptron_criterion_trains_by_rosenblatts_rule_as_scikit_learn_does():
    x = np.random.default_rng(3).normal(size=(60, 4))
    labels = (x @ [1.0, -2.0, 0.5, 0.3] > 0).astype(int)
    # At first all outputs are 0, which scikit-learn takes for a mistake in any class.
    assert labels[0] == 1
    goal = objective(PerceptronCriterion(), 2)

    def mistake(w, example, label):
        return goal.train((example @ w)[None, None], label[None]).sum()

    with jax.enable_x64(True):
        w, gradient = jnp.zeros(4), jax.jit(jax.grad(mistake))
        for example, label in zip(jnp.asarray(x), jnp.asarray(labels), strict=True):
            w = w - gradient(w, example, label)
    theirs = Perceptron(max_iter=1, tol=None, shuffle=False, fit_intercept=False).fit(x, labels)
    np.testing.assert_allclose(w, theirs.coef_[0], atol=1e-12)


@pytest.mark.parametrize(
    ("loss", "num_classes", "outputs", "expected"),
    [
        (SoftmaxCrossEntropy(), 2, [[0.2, 0.1], [-1, 3]], [0, 1]),
        (SoftmaxCrossEntropy(), 3, [[0.2, 0.1, 0], [-1, 3, 4]], [0, 2]),
        (SigmoidCrossEntropy(), 2, [[-0.1], [0.1]], [0, 1]),
        (SigmoidCrossEntropy(), 3, [[-3, -1, -2], [1, 2, 1.5]], [1, 1]),
        (Focal(), 2, [[-0.1], [0.1]], [0, 1]),
        (MeanSquaredError(), 2, [[0.4], [0.6]], [0, 1]),
        (MeanSquaredError(), 3, [[0.4, 0.3, 0], [0, 0, 0.1]], [0, 2]),
        (PerceptronCriterion(), 2, [[0.0], [1e-3]], [0, 1]),
    ],
)
def test_prediction_is_the_class_that_the_outputs_say(loss, num_classes, outputs, expected):
    goal = objective(loss, num_classes)
    assert goal.num_outputs == len(outputs[0])
    found = goal.predict(jnp.asarray(outputs, jnp.float32))
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == jnp.int32


def test_pooled_outputs_say_the_mean_probability_of_the_samples():
    samples = np.random.default_rng(1).normal(scale=3, size=(5, 7, 4))

    def softmax(z):
        return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)

    with jax.enable_x64(True):
        found = objective(SoftmaxCrossEntropy(), 4).pool(jnp.asarray(samples))
        np.testing.assert_allclose(softmax(found), softmax(samples).mean(axis=0), rtol=1e-12)
        found = objective(Focal(), 4).pool(jnp.asarray(samples))
        np.testing.assert_allclose(sigmoid(found), sigmoid(samples).mean(axis=0), rtol=1e-12)
        found = objective(MeanSquaredError(), 4).pool(jnp.asarray(samples))
        np.testing.assert_allclose(found, samples.mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_class_weights_multiply_the_losses_of_their_examples(name):
    loss, weights = LOSSES[name](), (0.5, 1.0, 2.0, 3.0)
    weighted = LOSSES[name](class_weights=weights)
    np.testing.assert_allclose(train(weighted), np.array(weights)[LABELS] * train(loss))


def test_evaluation_reports_the_loss_without_smoothing_weights_and_focus():
    plain, sigmoid_loss = evaluate(SoftmaxCrossEntropy()), evaluate(SigmoidCrossEntropy())
    options = {"label_smoothing": 0.2, "class_weights": (1.0, 2.0, 3.0, 4.0)}
    np.testing.assert_array_equal(evaluate(SoftmaxCrossEntropy(**options)), plain)
    np.testing.assert_array_equal(evaluate(Focal(**options)), sigmoid_loss)
    np.testing.assert_array_equal(train(SoftmaxCrossEntropy()), plain)
    assert np.abs(train(SoftmaxCrossEntropy(**options)) - plain).max() > 0.1


def test_weights_for_another_number_of_classes_are_refused():
    with pytest.raises(UserError) as error:
        objective(SoftmaxCrossEntropy(class_weights=(1.0, 2.0, 3.0)), 10)
    assert str(error.value) == "config.loss.class_weights: 3 weights are given for 10 classes"


def test_losses_equal_those_of_pytorch():
    torch = pytest.importorskip("torch", reason="the oracle is PyTorch")
    functional = torch.nn.functional
    z, t = torch.tensor(LOGITS), torch.tensor(LABELS)
    one_z, two_t = torch.tensor(ONE_LOGIT[:, 0]), torch.tensor(TWO_LABELS, dtype=torch.float64)
    weights = (0.5, 1.0, 2.0, 3.0)
    cases = [
        (train(SoftmaxCrossEntropy()), functional.cross_entropy(z, t, reduction="none")),
        (
            train(SoftmaxCrossEntropy(label_smoothing=0.1)),
            functional.cross_entropy(z, t, reduction="none", label_smoothing=0.1),
        ),
        (
            train(SoftmaxCrossEntropy(class_weights=weights)),
            functional.cross_entropy(
                z, t, reduction="none", weight=torch.tensor(weights, dtype=torch.float64)
            ),
        ),
        (
            train(SigmoidCrossEntropy(), ONE_LOGIT, TWO_LABELS, 2),
            functional.binary_cross_entropy_with_logits(one_z, two_t, reduction="none"),
        ),
        (
            train(SigmoidCrossEntropy(label_smoothing=0.1), ONE_LOGIT, TWO_LABELS, 2),
            functional.binary_cross_entropy_with_logits(
                one_z, 0.9 * two_t + 0.05, reduction="none"
            ),
        ),
        (
            train(MeanSquaredError()).mean(),
            functional.mse_loss(z, functional.one_hot(t).double()),
        ),
    ]
    for found, expected in cases:
        np.testing.assert_allclose(found, expected, atol=1e-12)
