"""Order: the examples of a step are a function of (seed, step)."""

import contextlib
import itertools
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.data.draws import shuffled, words
from research.data.order import batch_positions

SEEDS = st.integers(0, 2**64 - 1)


@st.composite
def streams(draw):
    """(num_examples, global_batch_size, seed)."""
    num_examples = draw(st.integers(1, 60))
    return num_examples, draw(st.integers(1, num_examples)), draw(SEEDS)


def stream(num_examples, global_batch_size, seed, epochs):
    steps = range(-(-epochs * num_examples // global_batch_size))
    return np.concatenate(
        [batch_positions(num_examples, global_batch_size, seed, s) for s in steps]
    )


@given(streams())
def test_every_epoch_holds_every_example_exactly_once(parameters):
    num_examples = parameters[0]
    positions = stream(*parameters, epochs=3)
    for epoch in np.split(positions[: 3 * num_examples], 3):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(num_examples))


@given(streams(), st.integers(0, 10**15))
def test_every_batch_is_full(parameters, step):
    num_examples, global_batch_size, seed = parameters
    positions = batch_positions(num_examples, global_batch_size, seed, step)
    assert positions.shape == (global_batch_size,) and positions.dtype == np.int64
    assert positions.min() >= 0 and positions.max() < num_examples


@given(streams(), st.permutations(range(12)))
def test_batches_do_not_depend_on_which_were_asked_for_before(parameters, order):
    forwards = {step: batch_positions(*parameters, step) for step in range(12)}
    for step in order:
        np.testing.assert_array_equal(batch_positions(*parameters, step), forwards[step])


@given(streams(), st.integers(1, 60))
def test_stream_does_not_depend_on_the_batch_size(parameters, other):
    num_examples, _, seed = parameters
    other = min(other, num_examples)
    np.testing.assert_array_equal(
        stream(*parameters, epochs=2)[: 2 * num_examples],
        stream(num_examples, other, seed, epochs=2)[: 2 * num_examples],
    )


@pytest.mark.parametrize("step", [0, 2])
def test_who_writes_into_a_batch_changes_no_later_one(step):
    expected = batch_positions(10, 4, 0, step).copy()
    with contextlib.suppress(ValueError):  # refused, or a copy
        batch_positions(10, 4, 0, step)[:] = 0
    np.testing.assert_array_equal(batch_positions(10, 4, 0, step), expected)


def test_seeds_and_epochs_all_have_orders_of_their_own():
    orders = {
        batch_positions(100, 100, seed, epoch).tobytes()
        for seed, epoch in itertools.product((0, 1, 2, 3, 2**63, 2**64 - 1), range(20))
    }
    assert len(orders) == 6 * 20


def test_every_example_comes_first_equally_often():
    epochs = 5000
    firsts = np.bincount([batch_positions(5, 1, 0, 5 * epoch)[0] for epoch in range(epochs)])
    deviation = np.sqrt(epochs * 1 / 5 * 4 / 5)
    np.testing.assert_allclose(firsts, epochs / 5, atol=4 * deviation)


def test_order_is_the_same_in_every_version():
    # A change here means that no run of an older version can be resumed.
    assert [batch_positions(10, 4, 0, step).tolist() for step in range(5)] == [
        [0, 2, 9, 1],
        [8, 5, 4, 3],
        [6, 7, 5, 3],
        [7, 8, 2, 4],
        [1, 0, 6, 9],
    ]
    assert shuffled(8, 2**64 - 1, 7).tolist() == [3, 0, 7, 4, 6, 1, 5, 2]


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 2**64 - 1), st.integers(0, 63))
def test_numbers_are_shuffled_by_their_draws_and_equal_draws_keep_their_order(
    count, times, seed, cut
):
    # What is cut off their ends makes draws equal, or equal but for where positions stand.
    drawn = words(count * times, seed) >> np.uint64(cut) << np.uint64(cut)
    expected = np.argsort(drawn.reshape(times, count), axis=1, kind="stable").ravel()
    with mock.patch("research.data.draws.words", lambda *_: drawn):
        assert shuffled(count, seed, times=times).tolist() == expected.tolist()
