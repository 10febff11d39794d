"""Feeds: both give the batch of every step, however steps are grouped."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.data import feeds
from research.data.arrays import examples
from research.data.feeds import ResidentFeed, StreamedFeed, fits_on_devices
from research.data.splits import Split
from research.experiment import Mesh
from research.mesh import make_mesh
from tests.data.sources import random_examples

SIZE, SEED, MOST = 8, 3, 5
MESH = make_mesh(Mesh())
LABELS = np.repeat(np.arange(3, dtype=np.int32), [20, 9, 4])
SPLITS = {
    "images": Split(random_examples(LABELS), np.arange(1, len(LABELS))),
    "balanced": Split(random_examples(LABELS), np.arange(len(LABELS)), balanced=True),
    # Negative zeros and denormal numbers: what is sent is what is stored, bit for bit.
    "table": Split(
        examples(np.float32([[-0.0, 1e-40, label] for label in LABELS]), LABELS),
        np.arange(len(LABELS)),
    ),
}


def resident(split):
    return ResidentFeed(split, SIZE, SEED, MESH, MOST)


def streamed(split):
    return StreamedFeed(split, SIZE, SEED, MESH, MOST, total_steps=10**6, threads=2)


@pytest.mark.parametrize("feed_of", [resident, streamed])
@pytest.mark.parametrize("name", SPLITS)
def test_each_step_has_its_batch_however_steps_are_grouped(name, feed_of):
    split = SPLITS[name]
    feed = feed_of(split)
    batch_of = jax.jit(feed.batch)

    @given(start=st.integers(0, 999_000), groups=st.lists(st.integers(1, MOST), max_size=4))
    def check(start, groups):
        for steps in groups:
            source = feed.take(start, steps)
            assert source["steps"] == steps
            for index in range(steps):
                positions = split.train_positions(SIZE, SEED, start + index)
                expected, found = split.gather(positions), batch_of(source, index)
                for key, values in expected.items():
                    assert np.asarray(found[key]).tobytes() == values.tobytes()
                    assert (found[key].shape, found[key].dtype) == (values.shape, values.dtype)
            start += steps

    check()


def test_a_source_of_few_steps_has_the_shape_of_a_full_one():
    for feed in (resident(SPLITS["images"]), streamed(SPLITS["images"])):
        few, full = feed.take(0, 1), feed.take(1, feed.capacity)
        assert jax.tree.map(np.shape, few) == jax.tree.map(np.shape, full)


def test_what_a_thread_raises_while_it_reads_ends_the_wait():
    class Broken(Split):
        def gather(self, positions):
            raise OSError("the disk is gone")

    feed = streamed(Broken(SPLITS["images"].examples, np.arange(20)))
    with pytest.raises(OSError, match="the disk is gone"):
        feed.take(0, 1)


def test_streamed_batches_are_bounded_in_bytes(monkeypatch):
    batch_bytes = SPLITS["table"].nbytes // len(LABELS) * SIZE
    for room, steps in ((0, 1), (3 * batch_bytes, 3), (10**9, MOST)):
        monkeypatch.setattr(feeds, "STREAMED_BYTES", room)
        assert streamed(SPLITS["table"]).capacity == steps


def test_data_is_resident_up_to_a_quarter_of_the_memory(monkeypatch):
    split = SPLITS["table"]
    monkeypatch.setattr(feeds, "_memory", lambda device: 4 * split.nbytes)
    assert fits_on_devices(split, MESH)
    monkeypatch.setattr(feeds, "_memory", lambda device: 4 * split.nbytes - 1)
    assert not fits_on_devices(split, MESH)
    monkeypatch.undo()
    assert fits_on_devices(split, MESH)  # a kilobyte fits everywhere
