"""Balanced sampling: as many examples of each class, still a function of (seed, step)."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.data.order import Members, balanced_positions

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.lists(st.integers(1, 30), min_size=2, max_size=5)


def labels_of(sizes):
    """Labels of so many examples of each class, mixed."""
    labels = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    return labels[np.random.default_rng(0).permutation(len(labels))]


def stream(labels, length, seed=0, global_batch_size=1):
    """The first positions of training, in batches of one size."""
    members = Members.of(labels)
    steps = range(-(-length // global_batch_size))
    batches = [balanced_positions(members, global_batch_size, seed, step) for step in steps]
    return np.concatenate(batches)[:length]


@given(SIZES, SEEDS, st.integers(0, 10**9), st.integers(1, 40))
def test_a_batch_holds_the_classes_equally_often_to_within_one_at_either_end(
    sizes, seed, step, global_batch_size
):
    labels = labels_of(sizes)
    size = min(global_batch_size, len(labels))
    positions = balanced_positions(Members.of(labels), size, seed, step)
    assert positions.shape == (size,) and positions.dtype == np.int64
    counts = np.bincount(labels[positions], minlength=len(sizes))
    assert np.ptp(counts) <= 2


def test_a_batch_of_whole_rounds_holds_the_classes_exactly_equally_often():
    labels = labels_of([500, 20, 3])
    for step in range(100):
        positions = balanced_positions(Members.of(labels), 30, 0, step)
        assert np.bincount(labels[positions]).tolist() == [10, 10, 10]


@given(SIZES, SEEDS)
def test_all_members_of_a_class_are_drawn_equally_often(sizes, seed):
    labels = labels_of(sizes)
    rounds = 2 * math.lcm(*sizes) if math.lcm(*sizes) < 200 else 2 * max(sizes)
    positions = stream(labels, rounds * len(sizes), seed, global_batch_size=len(labels))
    times = np.bincount(positions, minlength=len(labels))
    for label, size in enumerate(sizes):
        assert np.ptp(times[labels == label]) <= (rounds % size > 0)


@given(SIZES, SEEDS, st.integers(1, 40), st.integers(1, 40))
def test_the_stream_does_not_depend_on_the_batch_size(sizes, seed, one, other):
    labels = labels_of(sizes)
    one, other = (min(size, len(labels)) for size in (one, other))
    np.testing.assert_array_equal(stream(labels, 150, seed, one), stream(labels, 150, seed, other))


@given(SIZES, SEEDS, st.permutations(range(12)))
def test_batches_do_not_depend_on_which_were_asked_for_before(sizes, seed, order):
    members = Members.of(labels_of(sizes))
    forwards = {step: balanced_positions(members, 2, seed, step) for step in range(12)}
    for step in order:
        again = balanced_positions(Members.of(labels_of(sizes)), 2, seed, step)
        np.testing.assert_array_equal(again, forwards[step])


def test_seeds_and_epochs_all_have_orders_of_their_own():
    labels = labels_of([40, 10])
    orders = {
        balanced_positions(Members.of(labels), 50, seed, step).tobytes()
        for seed, step in itertools.product((0, 1, 2, 2**32 - 1), range(20))
    }
    assert len(orders) == 4 * 20


@pytest.mark.parametrize("classes", [2, 4])
def test_every_class_comes_first_equally_often(classes):
    labels = labels_of([8] * classes)
    rounds = 4000
    firsts = labels[stream(labels, rounds * classes, global_batch_size=8)[::classes]]
    deviation = np.sqrt(rounds / classes * (1 - 1 / classes))
    np.testing.assert_allclose(np.bincount(firsts), rounds / classes, atol=4 * deviation)


def test_order_is_the_same_in_every_version():
    # A change here means that no run of an older version can be resumed.
    labels = np.array([0, 0, 0, 0, 1, 2, 2], np.int32)
    members = Members.of(labels)
    assert [balanced_positions(members, 4, 0, step).tolist() for step in range(4)] == [
        [3, 5, 4, 6],
        [4, 0, 5, 2],
        [4, 6, 4, 1],
        [6, 3, 4, 4],
    ]
