"""Data from elsewhere is read, never executed, and leads to no file outside of its folder."""

import json
import os
import pathlib
import sys

import numpy as np
import pytest

from research.data.folder import ImageFolder
from research.data.splits import open_dataset
from research.data.tfds_images import TfdsImages
from research.errors import UserError
from tests.data.sources import encoded
from tests.data.tfds_sets import prepare_tiny

SHAPE = (4, 5, 1)


def images(count):
    return [encoded(np.full(SHAPE[:2], value)) for value in range(count)]


@pytest.fixture
def folder(tmp_path):
    """A folder of two classes with ten images each."""
    for index, image in enumerate(images(20)):
        path = tmp_path / "data" / "train" / ("cat", "dog")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    return tmp_path / "data"


def opened(folder, **options):
    fractions = {"validation_fraction": 0.2, "test_fraction": 0.2}
    return open_dataset(ImageFolder(data_dir=str(folder), **fractions, **options))


def secret(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(images(1)[0])
    return path


@pytest.mark.parametrize("skip_bad", [False, True])
def test_an_image_that_is_a_link_to_the_outside_is_not_read(folder, tmp_path, skip_bad):
    target = secret(tmp_path)
    (folder / "train" / "cat" / "link.png").symlink_to(target)
    with pytest.raises(UserError, match=f"link.png leads to {target}, outside of the data folder"):
        opened(folder, skip_bad=skip_bad)


@pytest.mark.parametrize("name", ["train/bird", "test"])
def test_a_class_or_a_split_that_is_a_link_to_the_outside_is_not_read(folder, tmp_path, name):
    outside = tmp_path / "outside"
    for path in (outside, outside / "cat", outside / "dog"):
        path.mkdir()
        (path / "1.png").write_bytes(images(1)[0])
    (folder / name).symlink_to(outside)
    with pytest.raises(UserError, match=f"leads to {outside}"):
        opened(folder)


def test_links_within_the_folder_and_to_it_are_followed(folder, tmp_path):
    (folder / "train" / "cat" / "link.png").symlink_to(folder / "train" / "cat" / "0.png")
    (tmp_path / "link").symlink_to(folder)
    found = opened(tmp_path / "link")
    assert len(found.train) + len(found.validation) + len(found.read_test()) == 21


def test_a_pipe_named_like_an_image_is_bad_and_does_not_hang(folder):
    os.mkfifo(folder / "train" / "cat" / "pipe.png")
    with pytest.raises(UserError, match=r"pipe\.png: not a regular file"):
        opened(folder)


@pytest.fixture
def prepared(tmp_path):
    examples = [(image, index % 2) for index, image in enumerate(images(20))]
    return prepare_tiny(tmp_path, {"train": examples}, SHAPE)


def open_prepared(files):
    return open_dataset(TfdsImages(name="tiny", data_dir=str(files.parents[1])))


def test_features_of_a_data_set_can_not_have_code_imported(prepared, tmp_path, monkeypatch):
    (tmp_path / "intruder.py").write_text("raise SystemExit('executed')")
    monkeypatch.syspath_prepend(tmp_path)
    path = prepared / "features.json"
    content = json.loads(path.read_text())
    content["featuresDict"]["features"]["image"]["pythonClassName"] = "intruder.Image"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="names 'intruder.Image', which is not code of TensorFlow"):
        open_prepared(prepared)
    assert "intruder" not in sys.modules
    # As older versions of TFDS wrote it.
    path.write_text(json.dumps({"type": "intruder.Image", "content": {}}))
    with pytest.raises(UserError, match="names 'intruder.Image'"):
        open_prepared(prepared)
    assert "intruder" not in sys.modules


@pytest.mark.parametrize("template", ["../../../{DATASET}", "/{DATASET}"])
def test_file_names_of_a_data_set_do_not_lead_out_of_it(prepared, tmp_path, template):
    (records,) = prepared.glob("*.array_record*")
    target = tmp_path / "outside"
    target.mkdir()
    (target / "tiny").write_bytes(records.read_bytes())
    path = prepared / "dataset_info.json"
    info = json.loads(path.read_text())
    prefix = str(target) if template[0] == "/" else f"../../{target.name}"
    info["splits"][0]["filepathTemplate"] = f"{prefix}/{{DATASET}}"
    path.write_text(json.dumps(info))
    with pytest.raises(UserError, match=f"leads to {target / 'tiny'}|can't be (read|opened)"):
        open_prepared(prepared)


def test_a_record_file_that_is_a_link_to_the_outside_is_not_read(prepared, tmp_path):
    (records,) = prepared.glob("*.array_record*")
    records.rename(tmp_path / "outside")
    records.symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match=f"leads to {tmp_path / 'outside'}"):
        open_prepared(prepared)


@pytest.mark.parametrize("name", ["huggingface:mnist", "someone:their_set/config"])
def test_code_of_communities_is_not_fetched(name, tmp_path):
    with pytest.raises(UserError, match="it would be a community's"):
        open_dataset(TfdsImages(name=name, data_dir=str(tmp_path)))


def test_a_cached_array_of_python_objects_is_not_unpickled(folder, tmp_path):
    class Intruder:
        def __reduce__(self):
            return pathlib.Path.touch, (tmp_path / "executed",)

    opened(folder)
    cache = pathlib.Path(os.environ["HANOK_CACHE_DIR"]) / "data"
    for path in cache.rglob("labels.npy"):
        np.save(path, np.array([Intruder()] * 20, object), allow_pickle=True)
    found = opened(folder)
    assert len(found.train) == 12 and not (tmp_path / "executed").exists()
