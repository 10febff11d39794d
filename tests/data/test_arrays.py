"""Arrays: images are decoded once and then read from the cache."""

import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.data import arrays
from research.errors import UserError
from tests.data.sources import random_examples

COUNT = 6
SHAPE = (2, 3, 1)
EXPECTED = random_examples(range(COUNT), shape=SHAPE)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache; returns the folder of its entries."""
    monkeypatch.setenv("HANOK_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "data"


class Decoder:
    """Yields the expected examples and counts how often it was asked for them."""

    def __init__(self, count=COUNT):
        self.runs = 0
        self._count = count

    def __iter__(self):
        self.runs += 1
        yield from zip(EXPECTED.inputs[: self._count], range(self._count), strict=True)


def read(decoder, identity="images", count=COUNT):
    return arrays.cached(identity, decoder, count, SHAPE)


def assert_equal_examples(found, expected=EXPECTED):
    np.testing.assert_array_equal(found.inputs, expected.inputs)
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert found.inputs.dtype == np.uint8 and found.labels.dtype == np.int32
    assert found.fingerprint == arrays.fingerprint(expected.inputs, expected.labels)


def test_what_is_in_the_cache_is_not_decoded_again(cache):
    decoder = Decoder()
    for _ in range(3):
        assert_equal_examples(read(decoder))
    assert decoder.runs == 1


def test_images_are_mapped_not_loaded(cache):
    for _ in range(2):
        assert isinstance(read(Decoder()).inputs, np.memmap)


def test_every_identity_has_an_entry_of_its_own(cache):
    decoder = Decoder()
    for identity in ("a", "b", {"files": [["a", 1]]}, {"files": [["a", 2]]}):
        read(decoder, identity)
    assert decoder.runs == 4 and len(list(cache.iterdir())) == 4


def test_fewer_images_than_announced_are_all_there_are(cache):
    fewer = random_examples(range(COUNT), shape=SHAPE)
    expected = arrays.examples(fewer.inputs[:4], fewer.labels[:4])
    decoder = Decoder(count=4)
    for _ in range(2):
        assert_equal_examples(read(decoder), expected)
    assert decoder.runs == 1


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "fingerprint"])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99, None])
def test_damaged_entry_is_decoded_again(cache, name, kept):
    decoder = Decoder()
    read(decoder)
    (entry,) = cache.iterdir()
    if kept is None:
        (entry / name).unlink()
    else:
        os.truncate(entry / name, int(kept * (entry / name).stat().st_size))
    for _ in range(2):
        assert_equal_examples(read(decoder))
    assert decoder.runs == 2


def test_failure_while_decoding_leaves_nothing_behind(cache):
    def failing():
        yield EXPECTED.inputs[0], 0
        raise UserError("image 1 can't be read")

    with pytest.raises(UserError, match="image 1 can't be read"):
        read(failing())
    assert list(cache.iterdir()) == []
    assert_equal_examples(read(Decoder()))


def test_image_of_another_shape_is_an_error(cache):
    with pytest.raises(ValueError, match=r"image 0 has shape \(4, 3, 1\), not \(2, 3, 1\)"):
        read([(np.zeros((4, 3, 1), np.uint8), 0)])
    assert list(cache.iterdir()) == []


def test_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("HANOK_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(UserError) as error:
        read(Decoder())
    message = str(error.value)
    assert f"cannot write decoded images to {tmp_path / 'file' / 'data'}" in message
    assert "set HANOK_CACHE_DIR to another directory" in message


def test_too_little_space_is_known_before_decoding(cache):
    decoder = Decoder()
    with pytest.raises(UserError, match="1000000000.0 GB needed, .* GB free"):
        read(decoder, count=10**18 // 6)
    assert decoder.runs == 0 and list(cache.iterdir()) == []


def test_disk_that_fills_up_is_an_error_not_a_crash(cache, monkeypatch):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")

    def onto_full_disk(directory, *_):
        (directory / "images.npy").symlink_to("/dev/full")
        return write(directory, *_)

    write = arrays._write
    monkeypatch.setattr(arrays, "_write", onto_full_disk)
    with pytest.raises(UserError, match="cannot write decoded images .*No space left"):
        read(Decoder())
    assert list(cache.iterdir()) == []


def test_who_decodes_at_the_same_time_reads_the_same(cache):
    barrier = threading.Barrier(4)
    found = []

    def decoded():
        yield from Decoder()
        barrier.wait(10)  # all finish together

    workers = [threading.Thread(target=lambda: found.append(read(decoded()))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 4 and len(list(cache.iterdir())) == 1
    for examples in found:
        assert_equal_examples(examples)


@given(st.integers(1, 20), st.integers(1, 30))
def test_fingerprint_does_not_depend_on_how_it_is_read(count, chunk):
    given_examples = random_examples(range(count))
    arrays_of_it = (given_examples.inputs, given_examples.labels)
    assert arrays.fingerprint(*arrays_of_it, chunk=chunk) == given_examples.fingerprint


def test_fingerprint_tells_shapes_apart():
    images, labels = EXPECTED.inputs, EXPECTED.labels
    reshaped = images.reshape(COUNT, 3, 2, 1)
    assert arrays.fingerprint(images, labels) != arrays.fingerprint(reshaped, labels)


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({"HANOK_CACHE_DIR": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"HANOK_CACHE_DIR": "", "XDG_CACHE_HOME": "/b"}, "/b/hanok"),
        (
            {"HANOK_CACHE_DIR": "", "XDG_CACHE_HOME": "", "HOME": "/home/me"},
            "/home/me/.cache/hanok",
        ),
    ],
)
def test_cache_is_where_the_environment_says(monkeypatch, environment, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(arrays.cache_root()) == expected
