"""Augmentation of a batch, in the step: what it depends on, and who sees it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.augmentation import Augmentation, FastAutoAugment, RandAugment
from research.augmentation.apply import augment
from research.data import Digits, TfdsImages
from research.errors import UserError
from research.experiment import Evaluation, Logging, timetable
from research.objectives import PerceptronCriterion
from research.records import check
from research.state import Normalization, augmentation_key
from research.steps import make_steps
from tests import tiny

BATCH = {name: jnp.asarray(value) for name, value in tiny.batch(12).items()}
KEY = jax.random.key(0)
MANY = Augmentation(crop=1, brightness=0.3, cutout=2)


def augmented(options, key=KEY, batch=BATCH):
    return jax.jit(lambda key, batch: augment(options, key, batch, 3))(key, batch)


def steps(**fields):
    # Of data whose pixels have 8 bits, as those of the problem.
    data = TfdsImages(name="tiny")
    return tiny.steps(tiny.experiment(data=data, logging=Logging(every_steps=1), **fields))


def test_nothing_chosen_leaves_the_batch_untouched():
    assert augment(Augmentation(), KEY, BATCH, 3) is BATCH


def test_pixels_keep_their_range_and_labels_their_place():
    found = augmented(MANY)
    assert found["input"].shape == BATCH["input"].shape and found["input"].dtype == jnp.float32
    assert found["input"].min() >= 0 and 200 < found["input"].max() <= 255
    np.testing.assert_array_equal(found["label"], BATCH["label"])


def test_white_is_what_the_data_says_it_is():
    sixteenths = {**BATCH, "input": BATCH["input"] // 16}
    negative = Augmentation(policy=FastAutoAugment(sub_policies=("invert 1 1",)))
    found = augment(negative, KEY, sixteenths, 3, white=16)["input"]
    np.testing.assert_allclose(found, 16.0 - sixteenths["input"], atol=1e-4)
    assert Digits().white == 16 and TfdsImages(name="cifar10").white == 255


def test_what_an_example_draws_depends_on_its_place_alone():
    first = jax.tree.map(lambda x: x[:5], BATCH)
    np.testing.assert_allclose(
        augmented(MANY, batch=first)["input"], augmented(MANY)["input"][:5], atol=1e-4
    )
    same = {**BATCH, "input": jnp.broadcast_to(BATCH["input"][:1], BATCH["input"].shape)}
    assert len(np.unique(np.asarray(augmented(MANY, batch=same)["input"]), axis=0)) == 12


def test_what_an_augmentation_draws_does_not_depend_on_the_others():
    alone = augmented(Augmentation(brightness=0.5))["input"]
    mirrored = augmented(Augmentation(flip=True, brightness=0.5))["input"]
    assert (alone != mirrored).any()
    np.testing.assert_allclose(alone.sum(axis=(1, 2, 3)), mirrored.sum(axis=(1, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("names", [("mixup",), ("cutmix",), ("mixup", "cutmix")])
def test_mixed_labels_are_shares_of_the_example_and_of_the_next_one(names):
    label = np.asarray(augmented(Augmentation(**dict.fromkeys(names, 1.0)))["label"])
    np.testing.assert_allclose(label.sum(axis=1), 1, atol=1e-6)
    own = np.asarray(BATCH["label"])
    shares = label[np.arange(12), own]
    others = label[np.arange(12), np.roll(own, -1)]
    np.testing.assert_allclose(shares + others, 1, atol=1e-6)
    assert len(np.unique(shares)) > 4


def test_mixed_images_are_weighted_as_their_labels():
    black_and_white = jnp.where(jnp.arange(12) % 2, 255, 0).astype(jnp.uint8)[:, None, None, None]
    batch = {
        "input": jnp.broadcast_to(black_and_white, (12, 7, 5, 1)),
        "label": jnp.arange(12, dtype=jnp.int32) % 2,
    }
    found = augmented(Augmentation(mixup=1.0, cutmix=1.0), batch=batch)
    white = np.asarray(found["input"]).mean(axis=(1, 2, 3)) / 255
    np.testing.assert_allclose(white, found["label"][:, 1], atol=1e-6)


def test_it_is_a_function_of_seed_and_step():
    assert (
        len({str(jax.random.key_data(augmentation_key(s, t))) for s in (0, 1) for t in (0, 1)}) == 4
    )
    augmenting, plain = steps(augmentation=MANY), steps()
    start = augmenting.init()
    losses = []
    for seed, step in [(0, 0), (0, 1), (1, 0), (0, 0)]:
        state = start.replace(seed=jnp.uint32(seed), step=jnp.int32(step))
        _, metrics = augmenting.train_step(state, BATCH)
        expected = plain.train_step(state, augmented(MANY, augmentation_key(seed, step)))[1]
        assert metrics["loss"] == pytest.approx(float(expected["loss"]), rel=1e-5)
        losses.append(float(metrics["loss"]))
    assert losses[0] == losses[3] and len(set(losses)) == 3


def test_training_on_mixed_labels_minimises_the_weighted_cross_entropy():
    options = Augmentation(cutmix=1.0)
    mixing, plain = steps(augmentation=options), steps()
    state = mixing.init()
    found = mixing.train_step(state, BATCH)[1]["loss"]
    mixed = augmented(options, augmentation_key(0, 0))
    loss = 0.0
    for index in range(12):
        for label in range(3):
            one = {"input": mixed["input"][index][None], "label": jnp.array([label])}
            part = plain.eval_step(state, tiny.masked(one))["loss"]
            loss += float(mixed["label"][index, label] * part) / 12
    assert found == pytest.approx(loss, rel=1e-5)


def test_evaluation_sees_images_as_they_are():
    state, batch = steps().init(), tiny.masked(tiny.batch(12))
    expected = steps().eval_step(state, batch)
    found = steps(augmentation=Augmentation(crop=2, mixup=1.0)).eval_step(state, batch)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("crop", -1, "must not be negative"),
        ("mixup", -0.1, "must not be negative"),
        ("contrast", 1.5, r"must lie in \[0, 1\]"),
        ("hue", 0.6, r"must lie in \[0, 0.5\]"),
    ],
)
def test_strengths_out_of_range_are_refused(field, value, message):
    with pytest.raises(UserError, match=rf"config\.augmentation\.{field}: {message}"):
        tiny.experiment(augmentation=Augmentation(**{field: value}))


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({"cutmix": 1.0}, (13,), r"cutmix: acts on images .* have the shape \(13,\)"),
        ({"policy": RandAugment()}, (13,), "policy: acts on images"),
        ({"saturation": 0.5}, (8, 8, 1), "saturation: needs colour images; these have 1 channel"),
        ({"hue": 0.5}, (8, 8, 4), "hue: needs colour images"),
        ({"crop": 9}, (8, 20, 1), "crop: 9 pixels are more than images of 8×20 have"),
    ],
)
def test_augmentations_that_do_not_fit_the_inputs_are_refused(options, shape, message):
    options = Augmentation(**options)
    check(options)
    with pytest.raises(UserError, match=rf"config\.augmentation\.{message}"):
        options.check_input(shape)


def test_mixing_a_batch_of_one_is_refused():
    with pytest.raises(UserError, match="augmentation.mixup: mixes the examples of a batch"):
        tiny.experiment(augmentation=Augmentation(mixup=0.2), global_batch_size=1)


def test_losses_that_take_classes_alone_are_refused_to_mixing():
    with pytest.raises(UserError, match="cutmix: gives shares of classes, but .* 'perceptron'"):
        tiny.experiment(augmentation=Augmentation(cutmix=1.0), loss=PerceptronCriterion())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"augmentation": Augmentation(cutmix=1.0)}, "augmentation.cutmix: acts on images"),
        ({"evaluation": Evaluation(tta="flip")}, "evaluation.tta: acts on images"),
    ],
)
def test_tables_are_refused(fields, message):
    table = Normalization(mean=np.zeros(13, np.float32), std=np.ones(13, np.float32))
    chosen = tiny.experiment(**fields)
    with pytest.raises(UserError, match=f"config.{message}"):
        make_steps(chosen, timetable(chosen, 48), (13,), 3, table)
