"""Feed: (seed, step) and a split become batches on the devices."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.data.feed import evaluation_batches
from research.data.order import Members, balanced_positions, batch_positions
from research.data.splits import Split
from research.experiment import Mesh
from research.mesh import batch_sharding, make_mesh
from tests.batches import train_batch
from tests.data.sources import random_examples


@pytest.fixture(scope="module")
def sharding():
    return batch_sharding(make_mesh(Mesh()))


def every_third(count):
    """A split of `count` examples; label and place in the split are the same."""
    labels = np.repeat(np.arange(count), 3)
    return Split(random_examples(labels), np.arange(1, 3 * count, 3))


@given(count=st.integers(1, 40), global_batch_size=st.integers(1, 50))
def test_evaluation_sees_every_example_exactly_once(sharding, count, global_batch_size):
    split = every_third(count)
    seen = []
    for batch in evaluation_batches(split, global_batch_size, sharding):
        assert batch["input"].shape == (global_batch_size, *split.examples.inputs.shape[1:])
        images, labels, mask = (np.asarray(batch[key]) for key in ("input", "label", "mask"))
        np.testing.assert_array_equal(images, split.gather(labels)["input"])
        seen += labels[mask].tolist()
    assert seen == list(range(count))


@given(count=st.integers(1, 40), global_batch_size=st.integers(1, 50))
def test_only_the_end_of_the_last_evaluation_batch_is_padding(sharding, count, global_batch_size):
    batches = evaluation_batches(every_third(count), global_batch_size, sharding)
    mask = np.concatenate([np.asarray(batch["mask"]) for batch in batches])
    assert mask.dtype == bool and len(mask) - count < global_batch_size
    np.testing.assert_array_equal(mask, np.arange(len(mask)) < count)


@given(seed=st.integers(0, 2**64 - 1), step=st.integers(0, 10**9))
def test_train_batch_holds_the_examples_of_its_step(sharding, seed, step):
    split = every_third(20)
    batch = train_batch(split, 8, seed, step, sharding)
    expected = split.gather(batch_positions(20, 8, seed, step))
    jax.tree.map(np.testing.assert_array_equal, batch, expected)


@given(seed=st.integers(0, 2**32 - 1), step=st.integers(0, 10**9))
def test_balanced_train_batch_holds_the_classes_equally_often(sharding, seed, step):
    labels = np.repeat(np.arange(2), [30, 6])
    split = Split(random_examples(labels), np.arange(36), balanced=True)
    batch = train_batch(split, 8, seed, step, sharding)
    expected = split.gather(balanced_positions(Members.of(labels), 8, seed, step))
    jax.tree.map(np.testing.assert_array_equal, batch, expected)
    assert np.bincount(batch["label"]).tolist() == [4, 4]


def test_images_are_sent_as_bytes_and_labels_as_whole_numbers(sharding):
    batch = train_batch(every_third(4), 4, 0, 0, sharding)
    assert jax.tree.map(lambda array: array.dtype.name, batch) == {
        "input": "uint8",
        "label": "int32",
    }


def test_batches_are_placed_as_asked(sharding):
    split = every_third(4)
    for batch in (train_batch(split, 4, 0, 0, sharding), *evaluation_batches(split, 4, sharding)):
        assert all(array.sharding == sharding for array in batch.values())
