"""SMOTE: small classes of train, and of train alone, are filled up."""

import dataclasses

import numpy as np
import pytest

from research.data.arrays import examples
from research.data.digits import Digits
from research.data.smote import with_synthetic_rows
from research.data.splits import Split, input_statistics, open_dataset
from research.errors import UserError
from research.records import check
from tests.data.sources import CLASS_NAMES, TableFromSource, from_splits

SIZES = (60, 24, 12)
CATEGORIES = (range(2, 5), range(6, 8))


def table(sizes=SIZES, seed=0, categories=()):
    """A source of one split with so many rows of each class: 4 numbers, 2 categories or less."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    rows = generator.normal(labels[:, None], (1, 50, 1, 1, 1, 2, 1, 1), (len(labels), 8))
    for group in categories:
        likely = generator.random(len(labels)) < 0.8
        drawn = generator.integers(0, len(group), len(labels))
        rows[:, group] = np.eye(len(group))[np.where(likely, labels % len(group), drawn)]
    source = from_splits(CLASS_NAMES, train=examples(rows.astype(np.float32), labels))
    return dataclasses.replace(source, categories=categories)


def opened(source, **options):
    return open_dataset(TableFromSource(source=source, **options))


def made_up(with_smote, without):
    """(inputs, labels) of the rows that SMOTE has added to train."""
    rows = with_smote.train.gather(np.arange(len(with_smote.train)))
    return rows["input"][len(without.train) :], rows["label"][len(without.train) :]


@pytest.fixture(scope="module", params=[(), CATEGORIES], ids=["numbers", "categories"])
def pair(request):
    """A data set with SMOTE and without."""
    source = table(categories=request.param)
    return opened(source, balance="smote"), opened(source)


def test_all_classes_become_as_large_as_the_largest(pair):
    with_smote, without = pair
    counts = np.bincount(without.train.labels)
    assert len(set(counts)) == 3
    assert np.bincount(with_smote.train.labels).tolist() == [counts.max()] * 3


def test_real_rows_stay_as_they_are_and_come_first(pair):
    real = pair[1].train.gather(np.arange(len(pair[1].train)))
    found = pair[0].train.gather(np.arange(len(pair[1].train)))
    for name in ("input", "label"):
        np.testing.assert_array_equal(found[name], real[name])


def test_validation_test_and_statistics_are_those_without(pair):
    with_smote, without = pair
    for one, other in [
        (with_smote.validation, without.validation),
        (with_smote.read_test(), without.read_test()),
    ]:
        assert one.examples is other.examples
        np.testing.assert_array_equal(one.indices, other.indices)
    mean, std = input_statistics(without.train)
    np.testing.assert_array_equal(with_smote.mean, mean)
    np.testing.assert_array_equal(with_smote.std, std)


def test_made_up_rows_depend_on_train_alone():
    source = table()
    whole = source.splits["train"]()
    dataset = opened(source, balance="smote")
    changed = whole.inputs.copy()
    unseen = np.concatenate([dataset.validation.indices, dataset.read_test().indices])
    changed[unseen] += 1000
    others = from_splits(CLASS_NAMES, train=examples(changed, whole.labels))
    again = opened(others, balance="smote")
    np.testing.assert_array_equal(again.read_test().indices, dataset.read_test().indices)
    assert again.train.examples.fingerprint == dataset.train.examples.fingerprint


def test_made_up_row_lies_between_two_near_rows_of_its_class():
    with_smote, without = opened(table(), balance="smote", smote_neighbors=3), opened(table())
    real = without.train.gather(np.arange(len(without.train)))
    standard = (real["input"] - without.mean) / without.std
    for row, label in zip(*made_up(with_smote, without), strict=True):
        own = standard[real["label"] == label].astype(np.float64)
        point = (row - without.mean) / without.std
        from_own = point - own
        distances = np.linalg.norm(own[:, None] - own[None], axis=-1)
        near = np.argsort(distances, axis=1)[:, 1:4]
        # point = one + u (other - one) for a pair of neighbours and a u in [0, 1].
        direction = own[near] - own[:, None]
        u = (from_own[:, None] * direction).sum(-1) / (direction**2).sum(-1)
        off = np.linalg.norm(from_own[:, None] - u[..., None] * direction, axis=-1)
        assert ((off < 1e-4) & (u > -1e-4) & (u < 1 + 1e-4)).any()


@pytest.mark.parametrize("categories", [CATEGORIES, (range(3), range(3, 5), range(5, 8))])
def test_made_up_row_has_exactly_one_of_each_category(categories):
    source = table(categories=categories)
    rows = source.splits["train"]()
    statistics = input_statistics(Split(rows, np.arange(len(rows.labels))))
    options = TableFromSource(source=source)
    found = with_synthetic_rows(rows.inputs, rows.labels, *statistics, source, options)
    made = found.inputs[len(rows.inputs) :]
    assert len(made) == 3 * max(SIZES) - sum(SIZES)
    for group in categories:
        np.testing.assert_array_equal(np.sort(made[:, group])[:, :-1], 0)
        np.testing.assert_array_equal(made[:, group].max(axis=1), 1)
    numbers = np.setdiff1d(range(8), [column for group in categories for column in group])
    for column in numbers:
        assert len(np.unique(made[:, column])) > len(made) / 2


def test_fingerprint_is_the_same_for_the_same_seed_and_another_for_another():
    found = [
        opened(table(), balance="smote", **options).fingerprint
        for options in ({}, {}, {"smote_neighbors": 3}, {"split_seed": 1})
    ]
    assert found[0] == found[1] and len(set(found)) == 3


def test_classes_of_one_size_get_no_rows():
    source = table((30, 30, 30))
    assert len(opened(source, balance="smote").train) == len(opened(source).train)


def test_class_with_too_few_rows_is_named():
    with pytest.raises(UserError) as error:
        opened(table((60, 24, 6)), balance="smote")
    assert str(error.value) == (
        "config.data.smote_neighbors: class 'emu' has 4 rows in train; SMOTE with 5 neighbours "
        "needs 6 of every class. Use fewer, or config.data.balance=sampling"
    )


def test_images_are_refused_before_they_are_read():
    with pytest.raises(UserError, match="data.balance: smote makes rows of tables; between the im"):
        check(Digits(balance="smote"), "config.data")


def test_sampling_draws_every_class_equally_often():
    train = opened(table(), balance="sampling").train
    assert len(train) == len(opened(table()).train)
    counts = [np.bincount(train.labels[train.train_positions(30, 0, n)]) for n in range(20)]
    np.testing.assert_array_equal(counts, 10)
