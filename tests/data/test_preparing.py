"""Preparing: data sets are brought into the form that training reads."""

import importlib.machinery
import importlib.util
import sys

import numpy as np
import pytest

from research.data.preparing import prepare
from research.data.splits import open_dataset
from research.data.tfds_images import TfdsImages
from research.errors import UserError
from tests.data.sources import encoded
from tests.data.tfds_sets import prepare_tiny

SHAPE = (4, 5, 1)


def message_of(name, directory, download_dir=""):
    with pytest.raises(UserError) as error:
        prepare(name, str(directory), str(download_dir))
    return str(error.value)


@pytest.fixture
def tiny(tmp_path):
    """A prepared data set; returns the folder with its files."""
    images = [(encoded(np.full(SHAPE[:2], value)), value % 2) for value in range(8)]
    return prepare_tiny(tmp_path, {"train": images, "test": images[:3]}, SHAPE)


def test_what_is_prepared_is_reported_and_left_as_it_is(tiny, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in tiny.iterdir()}
    report = prepare("tiny", str(tmp_path), "")
    assert str(tiny) in report and "8 train, 3 test examples" in report
    assert {path: path.stat().st_mtime_ns for path in tiny.iterdir()} == before


def test_missing_tensorflow_is_answered_with_how_to_install_it(tmp_path, monkeypatch):
    # None in sys.modules would not do: TFDS takes any entry there for TensorFlow.
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    find = importlib.machinery.PathFinder.find_spec
    monkeypatch.setattr(
        importlib.machinery.PathFinder,
        "find_spec",
        lambda name, *rest: None if name == "tensorflow" else find(name, *rest),
    )
    message = message_of("fashion_mnist", tmp_path)
    assert "preparing a data set needs TensorFlow (training does not)" in message
    assert "pip install -e '.[prepare]'" in message


def test_missing_download_dir_is_named_before_anything_is_written(tmp_path):
    message = message_of("fashion_mnist", tmp_path / "data", tmp_path / "gone")
    assert message == f"--download_dir: no folder {tmp_path / 'gone'}"
    assert not (tmp_path / "data").exists()


def test_unknown_name_is_answered_with_the_nearest(tmp_path):
    assert "Did you mean 'fashion_mnist'?" in message_of("fashion_mnst", tmp_path)


def test_what_is_not_labelled_images_is_not_downloaded(tmp_path):
    assert "is not one of labelled 8-bit images" in message_of("imdb_reviews", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_files_in_another_format_are_not_taken_for_prepared(tiny, tmp_path):
    info = tiny / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    message = message_of("tiny", tmp_path)
    assert f"{tiny} is there, but incomplete or not in the ArrayRecord format" in message
    assert "Remove it" in message


# With TensorFlow


@pytest.fixture(scope="module")
def with_tensorflow():
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("preparing needs TensorFlow: pip install -e '.[prepare]'")


@pytest.mark.usefixtures("with_tensorflow")
def test_fashion_mnist_is_prepared_from_files_that_are_there(
    fashion_mnist_files, fashion_mnist, tmp_path
):
    report = prepare("fashion_mnist", str(tmp_path), str(fashion_mnist_files))
    assert "60,000 train" in report and "10,000 test" in report
    dataset = open_dataset(TfdsImages(name="fashion_mnist", data_dir=str(tmp_path)))
    assert dataset.class_names[0] == "T-shirt/top" and dataset.input_shape == (28, 28, 1)
    # The same images as in the publisher's files, in an order of TFDS's own.
    np.testing.assert_allclose(dataset.mean, fashion_mnist.mean, atol=0.5)
    ours, theirs = (split.examples for split in (dataset.train, fashion_mnist.train))
    for label in range(10):
        assert sorted(image.tobytes() for image in ours.inputs[ours.labels == label]) == sorted(
            image.tobytes() for image in theirs.inputs[theirs.labels == label]
        )


@pytest.mark.usefixtures("with_tensorflow")
def test_damaged_download_is_an_error_that_says_so(tmp_path):
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / f"{part}-ubyte.gz").write_bytes(b"damaged")
    message = message_of("fashion_mnist", tmp_path / "data", tmp_path)
    assert "data set 'fashion_mnist' could not be prepared" in message
    assert "idx" in message and "checksum" in message.lower()
