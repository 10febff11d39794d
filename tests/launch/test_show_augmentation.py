"""`python -m launch.show_augmentation`: a picture of what the step sees."""

import numpy as np
from PIL import Image

from launch import cli, show_augmentation
from research.augmentation.figure import shares


def run(*argv):
    return cli.guarded(show_augmentation.main, list(argv))


def test_it_draws_examples_as_they_are_and_augmented(tmp_path, capsys):
    path = tmp_path / "flipped.png"
    size = ["--examples=2", "--steps=1", f"--output={path}"]
    assert run("--config.augmentation.flip", *size) == cli.SUCCESS
    assert capsys.readouterr().out == f"wrote {path}\n"
    first = np.asarray(Image.open(path).convert("L"))
    assert first.shape == (350, 280) and first.std() > 20
    # The same again, and another picture of another augmentation.
    assert run("--config.augmentation.flip", *size) == cli.SUCCESS
    np.testing.assert_array_equal(np.asarray(Image.open(path).convert("L")), first)
    assert run("--config.augmentation.crop=3", *size) == cli.SUCCESS
    assert (np.asarray(Image.open(path).convert("L")) != first).any()


def test_titles_are_classes_or_the_shares_of_them():
    names = ("cat", "dog", "frog")
    assert shares(np.int32(1), names) == "dog"
    assert shares(np.array([0.3, 0, 0.7]), names) == "frog 0.70, cat 0.30"
    assert shares(np.array([0.0, 1, 0]), names) == "dog 1.00"


def test_an_experiment_without_augmentation_is_refused(capsys):
    assert run() == cli.BAD_INPUT
    assert "config.augmentation: nothing is chosen; give, for instance" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_one_message(tmp_path, capsys):
    missing = tmp_path / "nowhere" / "a.png"
    assert run("--config.augmentation.flip", "--steps=1", f"--output={missing}") == cli.BAD_INPUT
    assert "a.png could not be written" in capsys.readouterr().err
