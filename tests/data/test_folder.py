"""Folder: images on disk, one folder a class."""

import os

import numpy as np
import pytest

from research.data.folder import ImageFolder
from research.data.splits import open_dataset
from research.errors import UserError
from research.records import check
from tests.data.sources import contents, write_image

SIZE = (4, 5)


def pixels(value, size=SIZE, channels=()):
    return np.full((*size, *channels), value, np.uint8)


def fill(root, split="train", classes=("cat", "dog"), count=10, first=0, **options):
    """Writes `count` images of each class; no two have the same grey level."""
    for label, name in enumerate(classes):
        for number in range(count):
            value = first + label * count + number
            write_image(root / split / name / f"{number:02}.png", pixels(value, **options))


def opened(root, **options):
    return open_dataset(ImageFolder(data_dir=str(root), **options))


def values(split):
    """(grey level, label) of the examples of a split."""
    batch = split.gather(np.arange(len(split)))
    assert (np.ptp(batch["input"], axis=(1, 2, 3)) == 0).all()
    return sorted(zip(batch["input"][:, 0, 0, 0].tolist(), batch["label"].tolist(), strict=True))


def message_of(root, **options):
    with pytest.raises(UserError) as error:
        opened(root, **options)
    return str(error.value)


# What is read


def test_names_of_the_folders_are_the_classes(tmp_path):
    fill(tmp_path, classes=("zebra", "ant", "Bee"), count=5)
    dataset = opened(tmp_path)
    assert dataset.class_names == ("Bee", "ant", "zebra")
    assert values(dataset.train) == sorted(set(values(dataset.train)))
    for split in (dataset.train, dataset.validation, dataset.read_test()):
        for value, label in values(split):
            assert label == {0: 2, 1: 1, 2: 0}[value // 5]


def test_train_alone_is_cut_in_three(tmp_path):
    fill(tmp_path)
    dataset = opened(tmp_path)
    splits = (dataset.train, dataset.validation, dataset.read_test())
    assert [len(split) for split in splits] == [14, 2, 4]
    assert len(set.union(*map(contents, splits))) == 20


def test_validation_and_test_are_used_where_they_are(tmp_path):
    fill(tmp_path)
    fill(tmp_path, "validation", count=2, first=100)
    fill(tmp_path, "test", count=3, first=200)
    dataset = opened(tmp_path)
    assert values(dataset.train) == [(value, value // 10) for value in range(20)]
    assert values(dataset.validation) == [(100, 0), (101, 0), (102, 1), (103, 1)]
    assert values(dataset.read_test()) == [(200 + i, i // 3) for i in range(6)]


def test_test_images_are_not_read_before_they_are_asked_for(tmp_path):
    fill(tmp_path)
    fill(tmp_path, "test", count=3)
    (tmp_path / "test" / "dog" / "01.png").write_bytes(b"damaged")
    dataset = opened(tmp_path)
    with pytest.raises(UserError, match="1 of 6 images can't be read"):
        dataset.read_test()


def test_files_of_several_formats_are_read_and_others_left_alone(tmp_path):
    fill(tmp_path)
    for name in ("a.jpg", "b.JPEG", "c.bmp", "d.webp", "e.tif", "f.PNG"):
        write_image(tmp_path / "train" / "cat" / name, pixels(200))
    for name in ("notes.txt", "Thumbs.db", ".hidden.png", "._00.png"):
        (tmp_path / "train" / "cat" / name).write_bytes(b"no image")
    (tmp_path / "train" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "train" / "README.md").write_text("about")
    fill(tmp_path, "test", count=1)
    fill(tmp_path, "validation", count=1)
    train = opened(tmp_path).train
    assert np.bincount(train.labels).tolist() == [16, 10]


def test_grey_images_have_one_channel(tmp_path):
    fill(tmp_path)
    assert opened(tmp_path).input_shape == (4, 5, 1)


def test_one_coloured_image_makes_all_rgb(tmp_path):
    fill(tmp_path)
    write_image(tmp_path / "train" / "dog" / "red.png", pixels((255, 0, 0), channels=(3,)))
    dataset = opened(tmp_path)
    assert dataset.input_shape == (4, 5, 3)
    images = dataset.train.examples.inputs
    assert (images[:20] == images[:20, ..., :1]).all()
    assert (images[20] == (255, 0, 0)).all()


def test_images_of_any_size_are_scaled_to_image_size(tmp_path):
    fill(tmp_path)
    for number, size in enumerate([(1, 1), (20, 3), (7, 9)]):
        write_image(tmp_path / "train" / "dog" / f"odd{number}.png", pixels(99, size))
    dataset = opened(tmp_path, image_size=(6, 8))
    assert dataset.input_shape == (6, 8, 1)
    assert (dataset.train.examples.inputs[-3:] == 99).all()


def test_home_directory_may_be_a_tilde(tmp_path, monkeypatch):
    fill(tmp_path / "images")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(opened("~/images").train) == 14


# What is kept


def test_a_changed_image_is_decoded_anew(tmp_path):
    fill(tmp_path)
    before = opened(tmp_path)
    path = tmp_path / "train" / "cat" / "03.png"
    write_image(path, pixels(250))
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    after = opened(tmp_path)
    assert after.fingerprint != before.fingerprint
    assert (after.train.examples.inputs[3] == 250).all()


def test_added_and_removed_images_are_noticed(tmp_path):
    fill(tmp_path)
    counts = [len(opened(tmp_path).train.examples.labels)]
    write_image(tmp_path / "train" / "cat" / "new.png", pixels(250))
    counts.append(len(opened(tmp_path).train.examples.labels))
    (tmp_path / "train" / "dog" / "00.png").unlink()
    (tmp_path / "train" / "dog" / "01.png").unlink()
    counts.append(len(opened(tmp_path).train.examples.labels))
    assert counts == [20, 21, 19]


def test_unchanged_images_are_not_decoded_again(tmp_path, monkeypatch):
    fill(tmp_path)
    first = opened(tmp_path)
    monkeypatch.setattr("research.data.images.decode", None)
    assert opened(tmp_path).fingerprint == first.fingerprint


# Bad folders


def test_missing_train_folder_is_named(tmp_path):
    message = message_of(tmp_path)
    assert f"config.data.data_dir: no folder {tmp_path / 'train'}" in message
    assert "--config.data.data_dir=" in message


def test_data_dir_must_be_given():
    with pytest.raises(UserError, match="config.data_dir: give the folder that holds train/"):
        check(ImageFolder())


@pytest.mark.parametrize("size", [(8,), (0, 8), (8, -1), (8, 8, 3)])
def test_image_size_must_be_height_and_width(size):
    with pytest.raises(UserError, match=r"config.image_size: takes \(height, width\)"):
        check(ImageFolder(data_dir="images", image_size=size))


@pytest.mark.parametrize("classes", [(), ("cat",)])
def test_fewer_than_two_classes_are_an_error(tmp_path, classes):
    (tmp_path / "train").mkdir()
    fill(tmp_path, classes=classes)
    message = message_of(tmp_path)
    assert f"{tmp_path / 'train'}: needs a folder for each of at least two classes" in message
    assert f"found {len(classes)}" in message


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_empty_class_folder_is_named(tmp_path, split):
    for name in ("train", "validation", "test"):
        fill(tmp_path, name)
    for path in (tmp_path / split / "dog").iterdir():
        path.unlink()
    assert message_of(tmp_path).startswith(f"{tmp_path / split / 'dog'}: holds no images")


def test_class_that_train_does_not_have_is_named_with_the_nearest_one(tmp_path):
    fill(tmp_path)
    fill(tmp_path, "validation", classes=("cat", "dogs"))
    message = message_of(tmp_path)
    assert f"{tmp_path / 'validation' / 'dogs'}: there is no class 'dogs' in train/" in message
    assert "Did you mean 'dog'?" in message and "Classes: cat, dog" in message


def test_image_of_another_size_is_named_with_the_way_out(tmp_path):
    fill(tmp_path)
    odd = tmp_path / "train" / "dog" / "03.png"
    write_image(odd, pixels(1, size=(9, 7)))
    message = message_of(tmp_path)
    assert f"{odd}: has 9×7 pixels, others 4×5" in message
    assert "--config.data.image_size='(4,5)'" in message


# Unreadable images


def damage(root, *names):
    for name in names:
        path = root / "train" / "cat" / name
        path.write_bytes(path.read_bytes()[:50])


def test_unreadable_images_are_counted_named_and_refused(tmp_path):
    fill(tmp_path)
    damage(tmp_path, "02.png", "07.png")
    message = message_of(tmp_path)
    assert "2 of 20 images can't be read" in message
    for name in ("02.png", "07.png"):
        assert str(tmp_path / "train" / "cat" / name) in message
    assert "--config.data.skip_bad=true" in message


def test_unreadable_images_are_left_out_with_a_warning_if_asked(tmp_path, caplog):
    fill(tmp_path)
    damage(tmp_path, "02.png", "07.png")
    dataset = opened(tmp_path, skip_bad=True)
    found = dataset.train.examples
    left = [value for value in range(20) if value not in (2, 7)]
    assert found.inputs[:, 0, 0, 0].tolist() == left
    assert found.labels.tolist() == [value // 10 for value in left]
    assert "2 of 20 images can't be read" in caplog.text and "07.png" in caplog.text


def test_first_image_may_be_the_unreadable_one(tmp_path):
    fill(tmp_path)
    (tmp_path / "train" / "cat" / "00.png").write_bytes(b"")
    assert opened(tmp_path, skip_bad=True).input_shape == (4, 5, 1)


def test_link_to_nothing_is_an_unreadable_image(tmp_path):
    fill(tmp_path)
    (tmp_path / "train" / "cat" / "link.png").symlink_to(tmp_path / "gone.png")
    message = message_of(tmp_path)
    assert "1 of 21 images can't be read" in message and "link.png" in message


@pytest.mark.parametrize("skip_bad", [False, True])
def test_no_readable_image_at_all_is_an_error(tmp_path, skip_bad):
    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / "1.png").write_bytes(b"no image")
    message = message_of(tmp_path, skip_bad=skip_bad)
    assert f"none of the 2 images in {tmp_path / 'train'} can be read" in message
