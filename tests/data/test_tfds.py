"""TFDS: image-classification data sets by name, read without TensorFlow."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from research.data.splits import open_dataset
from research.data.tfds_images import TfdsImages, data_dir
from research.errors import UserError
from research.records import check
from tests.conftest import CHECKOUT
from tests.data.sources import encoded
from tests.data.tfds_sets import prepare_tiny

SHAPE = (4, 5, 1)


def image(value, size=SHAPE[:2]):
    return encoded(np.full(size, value, np.uint8))


def tiny_splits():
    """Images whose grey level is their number; classes by turns."""
    return {
        "train": [(image(value), value % 2) for value in range(40)],
        "test": [(image(200 + value), value % 2) for value in range(6)],
    }


@pytest.fixture
def tiny(tmp_path):
    """A prepared data set; returns the folder with its files."""
    return prepare_tiny(tmp_path, tiny_splits(), SHAPE)


def opened(directory, name="tiny", **options):
    return open_dataset(TfdsImages(name=name, data_dir=str(directory), **options))


def message_of(directory, name="tiny", **options):
    with pytest.raises(UserError) as error:
        opened(directory, name, **options).read_test()
    return str(error.value)


# What is read


def test_every_example_of_a_prepared_data_set_is_read(tiny, tmp_path):
    dataset = opened(tmp_path)
    found = dataset.train.examples
    assert found.inputs[:, 0, 0, 0].tolist() == list(range(40))
    assert found.labels.tolist() == [value % 2 for value in range(40)]
    assert dataset.class_names == ("cat", "dog") and dataset.input_shape == SHAPE


def test_test_split_is_the_publishers_and_validation_is_cut_from_train(tiny, tmp_path):
    dataset = opened(tmp_path)
    assert (len(dataset.train), len(dataset.validation)) == (36, 4)
    test = dataset.read_test()
    assert test.gather(np.arange(6))["input"][:, 0, 0, 0].tolist() == list(range(200, 206))


def test_test_split_is_not_read_before_it_is_asked_for(tiny, tmp_path):
    (path,) = tiny.glob("tiny-test*")
    path.unlink()
    dataset = opened(tmp_path)
    with pytest.raises(UserError, match="split test in .* can't be read"):
        dataset.read_test()


def test_images_of_different_sizes_are_scaled(tmp_path):
    splits = {"train": [(image(value, (4 + value % 3, 5)), value % 2) for value in range(40)]}
    prepare_tiny(tmp_path, splits, (None, None, 1))
    assert opened(tmp_path, image_size=(6, 7)).input_shape == (6, 7, 1)


def test_files_prepared_anew_are_decoded_anew(tiny, tmp_path):
    before = opened(tmp_path)
    for path in tiny.iterdir():
        path.unlink()
    tiny.rmdir()
    splits = tiny_splits()
    splits["train"][3] = (image(255), 1)
    prepare_tiny(tmp_path, splits, SHAPE)
    after = opened(tmp_path)
    assert after.fingerprint != before.fingerprint
    assert (after.train.examples.inputs[3] == 255).all()


@pytest.mark.parametrize(
    "given, variable, expected",
    [
        ("/a", "/b", "/a"),
        ("", "/b", "/b"),
        ("", "", "/home/me/tensorflow_datasets"),
        ("~/a", "/b", "/home/me/a"),
    ],
)
def test_data_is_where_the_option_or_the_environment_says(monkeypatch, given, variable, expected):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("TFDS_DATA_DIR", variable)
    assert data_dir(given) == expected


# Names


@pytest.mark.parametrize(
    "name, nearest",
    [("fashion_mnst", "fashion_mnist"), ("Fashion-MNIST", "fashion_mnist"), ("cifar", "cifar10")],
)
def test_unknown_name_is_answered_with_the_nearest_and_a_list(tmp_path, name, nearest):
    message = message_of(tmp_path, name)
    assert f"config.data.name: no data set is called '{name}'. Did you mean '{nearest}'?" in message
    assert "cifar10, cifar100, emnist" in message and "digits, folder" in message


def test_near_miss_of_a_data_set_of_our_own_is_recognised(tmp_path):
    assert "Did you mean 'digits'?" in message_of(tmp_path, "digts")


@pytest.mark.parametrize("name", ["", "../x", "a b", "kaggle:x", "huggingface:mnist", "a/b=c"])
def test_what_can_be_no_name_is_a_clear_error_too(tmp_path, name):
    assert f"no data set is called '{name}'" in message_of(tmp_path, name)


def test_unknown_version_is_answered_with_the_known_ones(tmp_path):
    message = message_of(tmp_path, "cifar10:9.9.9")
    assert "data set 'cifar10:9.9.9'" in message and "only: 3.0.2" in message


def test_unprepared_data_set_is_answered_at_once_with_the_command_that_prepares_it(tmp_path):
    start = time.perf_counter()
    message = message_of(tmp_path, "cifar100")
    assert time.perf_counter() - start < 5  # TFDS's own attempts to download take minutes
    assert f"data set 'cifar100' is not prepared in {tmp_path}" in message
    command = f"python -m launch.prepare_data --dataset=cifar100 --data_dir={tmp_path}"
    assert message.splitlines()[-1].strip() == command


def test_data_set_prepared_in_another_format_is_not_prepared(tiny, tmp_path):
    info = tiny / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    assert "data set 'tiny' is not prepared in" in message_of(tmp_path)


@pytest.mark.parametrize(
    "name, features", [("imdb_reviews", "text: Text, label: ClassLabel"), ("div2k", "hr: Image")]
)
def test_what_is_not_labelled_images_is_refused_before_it_is_prepared(tmp_path, name, features):
    message = message_of(tmp_path, name)
    assert f"data set '{name}' is not one of labelled 8-bit images" in message
    assert features in message


def test_images_of_different_sizes_need_an_image_size(tmp_path):
    prepare_tiny(tmp_path, tiny_splits(), (None, None, 1))
    message = message_of(tmp_path)
    assert "images have different sizes" in message and "--config.data.image_size=" in message


def test_data_set_without_a_train_split_is_refused(tmp_path):
    prepare_tiny(tmp_path, {"unlabelled": tiny_splits()["train"]}, SHAPE)
    assert "data set 'tiny' has no split 'train', only unlabelled" in message_of(tmp_path)


@pytest.mark.parametrize("size", [(8,), (0, 8)])
def test_image_size_must_be_height_and_width(size):
    with pytest.raises(UserError, match=r"config.image_size: takes \(height, width\)"):
        check(TfdsImages(name="mnist", image_size=size))


# Damage


def damaged_splits():
    splits = tiny_splits()
    splits["train"][3] = (b"no image", 1)
    splits["train"][7] = (splits["train"][7][0][:50], 1)
    return splits


def test_unreadable_images_are_counted_named_and_refused(tmp_path):
    prepare_tiny(tmp_path, damaged_splits(), SHAPE)
    message = message_of(tmp_path)
    assert "2 of 40 images can't be read" in message
    assert "train example 3: not an image" in message and "train example 7" in message
    assert "--config.data.skip_bad=true" in message


def test_unreadable_images_are_left_out_with_a_warning_if_asked(tmp_path, caplog):
    prepare_tiny(tmp_path, damaged_splits(), SHAPE)
    found = opened(tmp_path, skip_bad=True).train.examples
    left = [value for value in range(40) if value not in (3, 7)]
    assert found.inputs[:, 0, 0, 0].tolist() == left
    assert found.labels.tolist() == [value % 2 for value in left]
    assert "2 of 40 images can't be read" in caplog.text


def test_image_of_another_shape_than_announced_is_an_error(tmp_path):
    splits = tiny_splits()
    splits["train"][3] = (image(3, (9, 9)), 1)
    prepare_tiny(tmp_path, splits, SHAPE)
    assert "image 3 has shape (9, 9, 1), not (4, 5, 1)" in message_of(tmp_path)


@pytest.mark.parametrize("kept", [0, 100, 2**16, 2**16 + 100, None])
def test_truncated_or_missing_file_is_named_with_the_way_out(tiny, tmp_path, kept):
    (path,) = tiny.glob("tiny-train*")
    if kept is None:
        path.unlink()
    else:
        os.truncate(path, kept)
    message = message_of(tmp_path)
    assert f"data set 'tiny': split train in {tiny} can't be read" in message
    assert f"python -m launch.prepare_data --dataset=tiny --data_dir={tmp_path}" in message


def test_flipped_bit_is_noticed(tiny, tmp_path):
    (path,) = tiny.glob("tiny-train*")
    contents = bytearray(path.read_bytes())
    contents[300] ^= 1
    path.write_bytes(contents)
    assert "split train in" in message_of(tmp_path)


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_damaged_description_is_named(tiny, tmp_path, name):
    (tiny / name).write_text("{")
    assert f"data set 'tiny' in {tmp_path} can't be opened" in message_of(tmp_path)


# Real data


def test_cifar10_has_45000_5000_and_10000_images(cifar10):
    for split, size in ((cifar10.train, 4500), (cifar10.validation, 500)):
        np.testing.assert_array_equal(np.bincount(split.labels), [size] * 10)
    test = cifar10.read_test()
    np.testing.assert_array_equal(np.bincount(test.labels), [1000] * 10)
    assert cifar10.input_shape == (32, 32, 3)


def test_cifar10_names_its_classes(cifar10):
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    assert " ".join(cifar10.class_names) == names


def test_statistics_of_cifar10_are_the_known_ones(cifar10):
    # Of all 50,000; those of any 45,000 of them are close.
    np.testing.assert_allclose(cifar10.mean / 255, [0.4914, 0.4822, 0.4465], atol=1e-3)
    np.testing.assert_allclose(cifar10.std / 255, [0.2470, 0.2435, 0.2616], atol=1e-3)


def test_images_of_cifar10_belong_to_their_labels(cifar10):
    # Ships and aeroplanes are seen before blue, frogs and deer are not.
    batch = cifar10.train.gather(np.arange(5000))
    blueness = batch["input"][..., 2].mean((1, 2)) - batch["input"][..., 0].mean((1, 2))
    by_class = [blueness[batch["label"] == label].mean() for label in range(10)]
    assert set(np.argsort(by_class)[-2:]) == {0, 8}


def test_reading_needs_no_tensorflow(tiny, tmp_path):
    program = (
        "import sys\n"
        "from research.data.splits import open_dataset\n"
        "from research.data.tfds_images import TfdsImages\n"
        f"dataset = open_dataset(TfdsImages(name='tiny', data_dir={str(tmp_path)!r}))\n"
        "assert len(dataset.train) == 36 and len(dataset.read_test()) == 6\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    environment = {**os.environ, "HANOK_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=CHECKOUT, env=environment)
