"""Test-time augmentation: the views, and the average over them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import steps as steps_module
from research.augmentation.views import views
from research.errors import UserError
from research.experiment import Evaluation
from tests import tiny

IMAGES = np.arange(1, 25, dtype=np.uint8).reshape(1, 4, 3, 2)
BATCH = tiny.masked(tiny.batch(12, seed=3), np.arange(12) < 10)


def evaluated(tta, state):
    return tiny.steps(tiny.experiment(evaluation=Evaluation(tta=tta))).eval_step(state, BATCH)


@pytest.fixture(scope="module")
def state():
    return tiny.steps(tiny.experiment()).init()


def test_views_are_the_image_its_mirror_image_and_both_shifted():
    np.testing.assert_array_equal(views("none", IMAGES), IMAGES[None])
    np.testing.assert_array_equal(views("flip", IMAGES), [IMAGES, IMAGES[:, :, ::-1]])
    ten = np.asarray(views("flip_shift", IMAGES))
    assert ten.dtype == np.uint8 and len(np.unique(ten, axis=0)) == 10
    padded = np.pad(IMAGES, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifts = [(0, 1), (2, 1), (1, 0), (1, 2)]
    expected = [padded[:, y : y + 4, x : x + 3] for y, x in shifts]
    assert {v.tobytes() for v in expected} <= {v.tobytes() for v in ten}


def test_the_identity_alone_predicts_as_without_views(state, monkeypatch):
    plain = evaluated("none", state)
    monkeypatch.setattr(steps_module, "views", lambda tta, images: images[None])
    found = evaluated("flip", state)
    np.testing.assert_array_equal(found["confusion"], plain["confusion"])
    np.testing.assert_allclose(found["loss"], plain["loss"], rtol=1e-6)


def test_probabilities_are_averaged_over_the_views(state):
    from research.models.network import network

    net = network(tiny.experiment().model, tiny.NUM_CLASSES)
    logits = [
        net.apply({"params": state.params}, state.normalization(jnp.asarray(images)))
        for images in (BATCH["input"], BATCH["input"][:, :, ::-1])
    ]
    probabilities = np.mean([jax.nn.softmax(one) for one in logits], axis=0)[:10]
    labels = BATCH["label"][:10]
    found = evaluated("flip", state)
    np.testing.assert_allclose(
        found["loss"], -np.log(probabilities[np.arange(10), labels]).sum(), rtol=1e-5
    )
    confusion = np.zeros((3, 3))
    np.add.at(confusion, (labels, probabilities.argmax(axis=1)), 1)
    np.testing.assert_array_equal(found["confusion"], confusion)


def test_unknown_views_are_refused_with_the_nearest_name():
    with pytest.raises(UserError, match=r"config\.evaluation\.tta.*Did you mean 'flip'"):
        tiny.experiment(evaluation=Evaluation(tta="flips"))
