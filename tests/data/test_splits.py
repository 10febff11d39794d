"""Splits: train, validation and test are disjoint, stratified and reproducible."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.data.arrays import examples
from research.data.base import Source
from research.data.digits import Digits
from research.data.splits import Split, cut, input_statistics, open_dataset
from research.errors import UserError
from tests.data.sources import CLASS_NAMES, FromSource, contents, from_splits, random_examples


def labels_of(sizes):
    """Labels of classes with these sizes, mixed."""
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))


def whole(given_examples):
    return Split(given_examples, np.arange(len(given_examples.labels)))


def open_source(source, **options):
    return open_dataset(FromSource(source=source, **options))


def three_splits(dataset):
    return dataset.train, dataset.validation, dataset.read_test()


def assert_disjoint(*splits):
    images = [contents(split) for split in splits]
    assert len(set.union(*images)) == sum(map(len, images))


# Three splits, whatever the publisher gave


def test_all_three_are_cut_where_there_is_only_train():
    dataset = open_source(from_splits(train=random_examples(labels_of([50, 50, 50]))))
    splits = three_splits(dataset)
    assert [len(split) for split in splits] == [105, 15, 30]
    assert_disjoint(*splits)


def test_fractions_are_of_what_the_publisher_calls_train():
    source = from_splits(train=random_examples(labels_of([100, 200, 300])))
    dataset = open_source(source, validation_fraction=0.25, test_fraction=0.5)
    for split, fraction in zip(three_splits(dataset), (0.25, 0.25, 0.5), strict=True):
        np.testing.assert_array_equal(
            np.bincount(split.labels), [100, 200, 300] * np.array(fraction)
        )


@pytest.mark.parametrize("given_names", [("validation",), ("test",), ("validation", "test")])
def test_splits_that_the_publisher_made_are_used_as_they_are(given_names):
    made = {
        name: random_examples(labels_of([7, 9, 8]), seed)
        for seed, name in enumerate(given_names, start=1)
    }
    train = random_examples(labels_of([40, 40, 40]))
    dataset = open_source(from_splits(train=train, **made))
    splits = {"validation": dataset.validation, "test": dataset.read_test()}
    for name in given_names:
        assert splits[name].examples is made[name]
        np.testing.assert_array_equal(splits[name].indices, np.arange(24))
    kept = len(dataset.train) + sum(len(splits[name]) for name in splits if name not in made)
    assert kept == 120


def test_test_split_is_read_only_when_it_is_asked_for():
    read = []

    def reading(name, count):
        def reader():
            read.append(name)
            return random_examples(labels_of([count] * 3))

        return reader

    source = Source(CLASS_NAMES, {"train": reading("train", 20), "test": reading("test", 5)})
    dataset = open_source(source)
    assert read == ["train"]
    dataset.read_test()
    assert read == ["train", "test"]


# Cutting

SIZES = st.lists(st.integers(4, 60), min_size=1, max_size=5)
FRACTIONS = st.floats(0.01, 0.8)


@given(SIZES, FRACTIONS, st.integers(0, 2**64 - 1))
def test_cut_takes_the_same_share_of_every_class_to_within_one_example(sizes, fraction, seed):
    split = whole(random_examples(labels_of(sizes)))
    names = [str(label) for label in range(len(sizes))]
    remaining, share = cut(split, fraction, seed, names)
    taken = np.bincount(share.labels, minlength=len(sizes))
    assert (np.abs(taken - fraction * np.asarray(sizes)) <= 1).all()
    np.testing.assert_array_equal(taken + np.bincount(remaining.labels), sizes)


@given(SIZES, FRACTIONS, st.integers(0, 2**64 - 1))
def test_cut_puts_every_example_on_exactly_one_side(sizes, fraction, seed):
    split = whole(random_examples(labels_of(sizes)))
    sides = cut(split, fraction, seed, [str(label) for label in range(len(sizes))])
    together = np.concatenate([side.indices for side in sides])
    np.testing.assert_array_equal(np.sort(together), split.indices)


@st.composite
def with_duplicates(draw):
    """Labels, and for every example which image it is a copy of."""
    copies = draw(st.lists(st.integers(1, 4), min_size=20, max_size=50))
    image_of = np.repeat(np.arange(len(copies)), copies)
    label_of_image = np.arange(len(copies)) % 2
    labels = label_of_image[image_of]
    if draw(st.booleans()):  # copies of one image may have different labels
        labels = (labels + draw(st.integers(0, 1)) * (np.arange(len(labels)) % 7 == 0)) % 2
    return labels, image_of


@given(with_duplicates(), st.floats(0.05, 0.5), st.integers(0, 2**32))
def test_no_image_is_on_both_sides_of_a_cut(duplicates, fraction, seed):
    labels, image_of = duplicates
    images = random_examples(range(image_of.max() + 1)).inputs[image_of]
    sides = cut(whole(examples(images, labels.astype(np.int32))), fraction, seed, CLASS_NAMES)
    assert_disjoint(*sides)


@given(
    st.lists(st.integers(1, 4), min_size=5, max_size=50),
    st.floats(0.05, 0.5),
    st.integers(0, 2**32),
)
def test_groups_of_identical_inputs_enlarge_a_share_by_less_than_one_group(copies, fraction, seed):
    image_of = np.repeat(np.arange(len(copies)), copies)
    images = random_examples(range(len(copies))).inputs[image_of]
    split = whole(examples(images, np.zeros(len(images), np.int32)))
    _, share = cut(split, fraction, seed, CLASS_NAMES)
    wanted = max(1, round(fraction * len(split)))
    assert wanted <= len(share) < wanted + max(copies)


def test_cut_is_the_same_for_the_same_seed_and_another_for_another():
    split = whole(random_examples(labels_of([40, 40, 40])))
    shares = [cut(split, 0.2, seed, CLASS_NAMES)[1].indices for seed in (0, 0, 1)]
    np.testing.assert_array_equal(shares[0], shares[1])
    assert set(shares[0]) != set(shares[2])


def test_cut_of_a_cut_holds_examples_of_the_first_alone():
    split = whole(random_examples(labels_of([40, 40, 40])))
    remaining, share = cut(split, 0.3, 0, CLASS_NAMES)
    for side in cut(remaining, 0.3, 0, CLASS_NAMES):
        assert set(side.indices) <= set(remaining.indices) - set(share.indices)


# Reproducibility


def test_split_seed_decides_and_the_fingerprint_tells():
    source = from_splits(train=random_examples(labels_of([50, 50, 50])))
    same = [open_source(source, split_seed=3) for _ in range(2)]
    other = open_source(source, split_seed=4)
    for one, two in zip(three_splits(same[0]), three_splits(same[1]), strict=True):
        np.testing.assert_array_equal(one.indices, two.indices)
    assert same[0].fingerprint == same[1].fingerprint != other.fingerprint


def test_fingerprint_tells_changed_pixels_and_changed_labels():
    original = random_examples(labels_of([50, 50, 50]))
    images, labels = original.inputs.copy(), original.labels.copy()
    images[17, 0, 2] += 1
    labels[17] = (labels[17] + 1) % 3
    fingerprints = {
        open_source(from_splits(train=examples(*arrays))).fingerprint
        for arrays in [
            (original.inputs, original.labels),
            (images, original.labels),
            (original.inputs, labels),
        ]
    }
    assert len(fingerprints) == 3


# Normalisation


@given(st.integers(1, 3), st.integers(1, 300), st.integers(0, 2**32))
def test_input_statistics_are_those_of_the_pixels_of_the_split(channels, count, seed):
    given_examples = random_examples([0] * 2 * count, seed, shape=(2, 3, channels))
    chosen = np.random.default_rng(seed).permutation(2 * count)[:count]
    mean, std = input_statistics(Split(given_examples, chosen), chunk=64)
    pixels = given_examples.inputs[chosen].astype(np.float64)
    assert mean.dtype == std.dtype == np.float32
    np.testing.assert_allclose(mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(std, pixels.std(axis=(0, 1, 2)), rtol=1e-6)


def test_statistics_are_of_train_alone():
    train = random_examples(labels_of([50, 50, 50]))
    bright = examples(np.full((9, 2, 3, 1), 255, np.uint8), labels_of([3, 3, 3]).astype(np.int32))
    dataset = open_source(from_splits(train=train, validation=bright, test=bright))
    expected = train.inputs.astype(np.float64)
    np.testing.assert_allclose(dataset.mean, [expected.mean()], rtol=1e-6)
    np.testing.assert_allclose(dataset.std, [expected.std()], rtol=1e-6)


def test_channel_that_never_changes_has_a_standard_deviation_of_one():
    images = random_examples([0] * 100, shape=(2, 3, 2)).inputs
    images[..., 1] = 200
    split = whole(examples(images, np.zeros(100, np.int32)))
    mean, std = input_statistics(split)
    assert mean[1] == 200 and std[1] == 1 and std[0] > 1


@given(st.integers(1, 4), st.integers(1, 60), st.integers(0, 2**32))
def test_statistics_of_a_table_are_those_of_its_columns_in_the_split(columns, count, seed):
    generator = np.random.default_rng(seed)
    rows = generator.normal(1e4, 1, (2 * count, columns)).astype(np.float32)
    chosen = generator.permutation(2 * count)[:count]
    table = examples(rows, np.zeros(2 * count, np.int32))
    mean, std = input_statistics(Split(table, chosen))
    assert mean.dtype == std.dtype == np.float32
    expected = rows[chosen].astype(np.float64)
    np.testing.assert_allclose(mean, expected.mean(axis=0), rtol=1e-6)
    if count > 1:
        np.testing.assert_allclose(std, expected.std(axis=0), rtol=1e-6)


@pytest.mark.parametrize("value", [0.1, 1e30, 1e-42])
def test_column_that_never_changes_has_a_standard_deviation_of_one(value):
    rows = np.full((1000, 1), value, np.float32)
    mean, std = input_statistics(whole(examples(rows, np.zeros(1000, np.int32))))
    assert std == 1 and mean == rows[0]


# Bad data


def made_splits():
    """Examples of three splits as a publisher would make them."""
    names = ("train", "validation", "test")
    return {name: random_examples(labels_of([20, 20, 20]), seed) for seed, name in enumerate(names)}


@pytest.mark.parametrize(
    "leaking, held",
    [("validation", "train"), ("test", "train"), ("test", "validation")],
)
def test_split_that_holds_what_another_holds_is_refused(leaking, held):
    made = made_splits()
    made[leaking] = made[held]
    with pytest.raises(UserError, match=f"{leaking} holds the very examples of {held}"):
        open_source(from_splits(**made)).read_test()


def test_one_class_alone_is_refused():
    source = from_splits(train=random_examples([1] * 40))
    with pytest.raises(UserError, match="all examples of train belong to one class, 'dog'"):
        open_source(source)


@pytest.mark.parametrize("label", [-1, 3])
@pytest.mark.parametrize("split", ["train", "validation"])
def test_label_out_of_range_is_named(split, label):
    made = made_splits()
    del made["test"]
    labels = made[split].labels.copy()
    labels[[5, 8]] = label
    made[split] = dataclasses.replace(made[split], labels=labels)
    with pytest.raises(UserError) as error:
        open_source(from_splits(**made))
    message = str(error.value)
    assert f"label {label} of example 5 in {split} is out of range" in message
    assert "labels of 3 classes lie in [0, 2] (2 labels are wrong)" in message


@pytest.mark.parametrize("empty", ["train", "validation", "test"])
def test_empty_split_is_named(empty):
    made = made_splits()
    made[empty] = random_examples([])
    with pytest.raises(UserError, match=f"data set 'synthetic': the {empty} split is empty"):
        open_source(from_splits(**made)).read_test()


@pytest.mark.parametrize("odd", ["validation", "test"])
def test_split_with_images_of_another_shape_is_named(odd):
    made = made_splits()
    made[odd] = random_examples(labels_of([5, 5, 5]), shape=(4, 3, 1))
    with pytest.raises(UserError) as error:
        open_source(from_splits(**made)).read_test()
    message = str(error.value)
    assert f"inputs of {odd} have shape (4, 3, 1), those of train (2, 3, 1)" in message


def test_class_too_small_to_cut_is_named():
    source = from_splits(train=random_examples(labels_of([50, 1, 50])))
    with pytest.raises(UserError, match="class 'dog' has too few different inputs .*1 in 1 ex"):
        open_source(source)


def test_class_of_copies_of_one_image_is_too_small_to_cut():
    images = random_examples([0] * 40).inputs.copy()
    images[20:] = images[20]
    source = from_splits(train=examples(images, np.repeat(np.int32([0, 2]), 20)))
    with pytest.raises(UserError, match="class 'emu' has too few different inputs .*1 in 20 ex"):
        open_source(source)


# Real data


@pytest.mark.parametrize("name", ["digits", "cifar10", "fashion_mnist"])
def test_no_image_of_a_real_data_set_is_in_two_splits(name, request):
    dataset = open_dataset(Digits()) if name == "digits" else request.getfixturevalue(name)
    assert_disjoint(*three_splits(dataset))


def test_fashion_mnist_is_cut_in_equal_shares(fashion_mnist):
    for split, size in zip(three_splits(fashion_mnist), (5400, 600, 1000), strict=True):
        np.testing.assert_array_equal(np.bincount(split.labels), [size] * 10)
