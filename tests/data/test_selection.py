"""Parts of data sets: classes that are told apart, and shares of what there is to train on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from research.data.digits import Digits
from research.data.splits import balanced_weights, open_dataset
from research.data.summary import summarize
from research.errors import UserError
from tests.data.sources import FromSource, contents, from_splits, random_examples

LABELS = np.arange(300) % 3


def opened(**options):
    source = from_splits(train=random_examples(LABELS), test=random_examples(LABELS[:90], seed=1))
    return open_dataset(FromSource(source=source, **options))


def counts(split):
    return np.bincount(split.labels).tolist()


def test_chosen_classes_are_told_apart_in_the_order_given():
    whole, part = opened(), opened(classes=("emu", "cat"))
    assert part.class_names == ("emu", "cat")
    pairs = (
        (whole.train, part.train),
        (whole.validation, part.validation),
        (whole.read_test(), part.read_test()),
    )
    for before, after in pairs:
        names = {
            before.examples.inputs[i].tobytes(): whole.class_names[before.examples.labels[i]]
            for i in before.indices
        }
        assert counts(after) == [counts(before)[2], counts(before)[0]]
        for i in after.indices:
            name = part.class_names[after.examples.labels[i]]
            assert names.get(after.examples.inputs[i].tobytes(), name) == name


def test_chosen_classes_are_another_data_set_to_a_work_directory():
    found = {opened(classes=names).fingerprint for names in ((), ("cat", "emu"), ("emu", "cat"))}
    assert len(found) == 3


def test_inputs_of_classes_left_out_are_not_copied():
    source = from_splits(train=random_examples(LABELS))
    dataset = open_dataset(FromSource(source=source, classes=("cat", "dog")))
    assert dataset.train.examples.inputs is source.splits["train"]().inputs


def test_share_of_train_is_trained_on_and_the_other_splits_stay():
    whole, part = opened(), opened(train_fraction=0.2)
    assert counts(part.train) == [18, 18, 18] and counts(whole.train) == [90, 90, 90]
    assert contents(part.train) < contents(whole.train)
    assert contents(part.validation) == contents(whole.validation)
    assert contents(part.read_test()) == contents(whole.read_test())


def test_statistics_are_those_of_what_is_trained_on():
    part = opened(train_fraction=0.2)
    images = part.train.gather(np.arange(len(part.train)))["input"].astype(np.float64)
    np.testing.assert_allclose(part.mean, images.mean(axis=(0, 1, 2)), rtol=1e-6)


def test_smaller_share_is_part_of_a_larger_one():
    small, large = (contents(opened(train_fraction=share).train) for share in (0.1, 0.3))
    assert small < large


def test_share_of_a_class_takes_the_place_of_that_of_all():
    options = {"train_fraction": 0.5, "class_fractions": (("dog", 0.1), ("emu", 1.0))}
    assert counts(opened(**options).train) == [45, 9, 90]
    assert counts(opened(**options).validation) == [10, 10, 10]


def test_at_least_one_example_of_a_class_stays():
    assert counts(opened(class_fractions=(("dog", 1e-9),)).train) == [90, 1, 90]


def test_real_data_is_selected_from_alike():
    dataset = open_dataset(Digits(classes=("3", "8"), train_fraction=0.5))
    assert dataset.class_names == ("3", "8")
    assert counts(dataset.train) == [64, 61]
    images = dataset.train.gather(np.arange(len(dataset.train)))
    # Of an eight, but not of a three, the left side is closed.
    left = images["input"][..., 0][:, 2:6, 1:3].mean(axis=(1, 2))
    assert left[images["label"] == 1].mean() > 2 * left[images["label"] == 0].mean()


def test_metadata_say_what_reading_says():
    for data in (Digits(train_fraction=0.5), Digits(classes=("1", "7"))):
        dataset, summary = open_dataset(data), summarize(data)
        assert summary.num_classes == len(dataset.class_names)
        assert abs(summary.train - len(dataset.train)) <= 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"classes": ("cat", "dgo")},
            "config.data.classes: the data has no class 'dgo'. Did you mean 'dog'",
        ),
        (
            {"classes": ("cat", "dog"), "class_fractions": (("emu", 0.5),)},
            "config.data.class_fractions: the data has no class 'emu'",
        ),
    ],
)
def test_class_that_is_not_there_is_named_with_the_nearest(options, message):
    with pytest.raises(UserError, match=message):
        opened(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ("3",)}, "data.classes: one class alone"),
        ({"classes": ("3", "3")}, r"data.classes: gives \['3'\] twice"),
        ({"train_fraction": 0.0}, r"data.train_fraction: must lie in \(0, 1\]"),
        ({"class_fractions": (("3", 1.5),)}, r"data.class_fractions\[0\]: must lie in"),
        ({"class_fractions": (("3", 0.5), ("3", 0.1))}, "data.class_fractions: gives"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Digits(**options).validate("config.data")


# Balanced weights


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_balanced_weights_are_those_of_scikit_learn(labels):
    labels = np.array(labels)
    present = np.unique(labels)
    found = np.array(balanced_weights(labels, 5))
    expected = compute_class_weight("balanced", classes=present, y=labels)
    np.testing.assert_allclose(found[present], expected, rtol=1e-12)
    assert found[labels].mean() == pytest.approx(1)


def test_balanced_weights_are_of_what_is_trained_on_and_are_used():
    dataset = opened(class_fractions=(("dog", 0.1),), balance="weights")
    assert counts(dataset.train) == [90, 9, 90]
    assert dataset.class_weights == pytest.approx((0.7, 7.0, 0.7))
    assert opened().class_weights == ()
