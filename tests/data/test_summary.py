"""What data sets are like, from their metadata."""

import numpy as np
import pytest

from research.data import TfdsImages
from research.data.digits import Digits
from research.data.folder import ImageFolder
from research.data.splits import open_dataset
from research.data.summary import Summary, stand_in, summarize
from research.errors import UserError
from tests.data.sources import CLASS_NAMES, FromSource, encoded, from_splits, random_examples
from tests.data.tfds_sets import prepare_tiny

SHAPE = (4, 5, 1)


def as_opened(data) -> Summary:
    """The summary of a data set that has been read."""
    dataset = open_dataset(data)
    return Summary(
        dataset.input_shape,
        len(dataset.class_names),
        len(dataset.train),
        len(dataset.validation),
        len(dataset.read_test()),
    )


def images(count: int, first: int = 0):
    return [(encoded(np.full(SHAPE[:2], first + n, np.uint8)), n % 2) for n in range(count)]


@pytest.fixture(params=["cut", "given"])
def splits(request):
    """Numbers of images in each split, with and without splits to be cut from train."""
    return {"train": 60} if request.param == "cut" else {"train": 60, "validation": 8, "test": 12}


@pytest.fixture
def prepared(tmp_path, splits):
    files = {name: images(n, 70 * i) for i, (name, n) in enumerate(splits.items())}
    prepare_tiny(tmp_path, files, SHAPE)
    return TfdsImages(name="tiny", data_dir=str(tmp_path))


@pytest.fixture
def folder(tmp_path, splits):
    for split, count in splits.items():
        for number, (file, label) in enumerate(images(count)):
            path = tmp_path / split / ("cat", "dog")[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file)
    return ImageFolder(data_dir=str(tmp_path))


def test_a_prepared_data_set_is_as_it_is_when_read(prepared):
    assert summarize(prepared) == as_opened(prepared)


def test_a_folder_is_as_it_is_when_read(folder):
    assert summarize(folder) == as_opened(folder)


def test_no_image_is_decoded(prepared, folder, monkeypatch):
    monkeypatch.setattr("research.data.arrays.cached", lambda *_: pytest.fail("reads images"))
    assert summarize(prepared) == summarize(folder)


def test_a_data_set_that_only_reading_tells_is_read():
    assert summarize(Digits()) == as_opened(Digits())


def test_without_metadata_all_splits_are_as_they_are_when_read():
    data = FromSource(
        source=from_splits(
            CLASS_NAMES,
            train=random_examples([0, 1, 2] * 20),
            test=random_examples([0, 1, 2] * 3, seed=1),
        )
    )
    assert summarize(data) == as_opened(data)


def test_data_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no folder"):
        summarize(ImageFolder(data_dir=str(tmp_path)))


def test_a_stand_in_has_the_shapes_and_takes_no_memory():
    summary = Summary((512, 512, 3), 1000, train=10**6, validation=10**4, test=10**4)
    dataset = stand_in(summary)
    assert dataset.input_shape == summary.input_shape
    assert len(dataset.class_names) == summary.num_classes
    sizes = (len(dataset.train), len(dataset.validation), len(dataset.read_test()))
    assert sizes == (summary.train, summary.validation, summary.test)
    assert dataset.train.examples.inputs.base.nbytes == 1
    assert dataset.mean.shape == dataset.std.shape == (3,)


def test_a_stand_in_of_a_table_holds_rows_of_numbers():
    dataset = stand_in(Summary((7,), 2, train=90, validation=10, test=10, input_dtype="float32"))
    assert dataset.input_shape == dataset.mean.shape == (7,)
    assert dataset.train.gather(np.arange(3))["input"].dtype == np.float32
