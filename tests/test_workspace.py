"""WORKSPACE.md keeps its word: a component is one new file and one line."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]

RECIPE = re.compile(
    r"^## To add (?P<title>.*?)\n.*?"
    r"One file, `(?P<path>\S+)`:\n\n```python\n(?P<code>.*?)```\n\n"
    r"and one line in `(?P<table>\S+)`:\n\n```python\n(?P<line>[^\n]*\n)```",
    re.DOTALL | re.MULTILINE,
)
RECIPES = {match["title"]: match for match in RECIPE.finditer((ROOT / "WORKSPACE.md").read_text())}

FUNCTION = re.compile(
    r"^## To add an activation\n\n"
    r"One function in `(?P<path>\S+)`:\n\n```python\n(?P<code>.*?)```\n\n"
    r"and one line in its table `(?P<table>\S+)`[^\n]*:\n\n```python\n(?P<line>[^\n]*\n)```",
    re.DOTALL | re.MULTILINE,
)

AUGMENTATION = re.compile(
    r"^## To add an augmentation\n\n"
    r"One function in `(?P<path>\S+)`:\n\n```python\n(?P<code>.*?)```\n\n"
    r"and one line in the record of `(?P<record>\S+)`, above `(?P<next>\w+)`[^\n]*:\n\n"
    r"```python\n(?P<line>[^\n]*\n)```",
    re.DOTALL | re.MULTILINE,
)

OPTIONS = {
    "a model": ["--config.model.name=bottleneck", "--config.model.width=32"],
    "a data set": ["--config.data.name=wine", "--config.global_batch_size=32"],
    "an optimizer": ["--config.optimizer.name=signed", "--config.optimizer.l1=1e-4"],
}


def copy_house(destination):
    for package in ("research", "configs", "launch"):
        shutil.copytree(ROOT / package, destination / package)


def accuracy_of_training(house, *options):
    """Trains in a copy of the house; returns the test accuracy."""
    command = [sys.executable, "-m", "launch.train", *options]
    finished = subprocess.run(
        [*command, "--workdir=run", "--config.epochs=30"],
        cwd=house,
        env={**os.environ, "PYTHONPATH": str(house)},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads((house / "run" / "summary.json").read_text())["test"]["accuracy"]


@pytest.mark.parametrize("title", OPTIONS)
def test_following_the_recipe_adds_it(title, tmp_path):
    recipe = RECIPES[title]
    copy_house(tmp_path)
    assert not (tmp_path / recipe["path"]).exists()
    (tmp_path / recipe["path"]).write_text(recipe["code"])
    with (tmp_path / recipe["table"]).open() as file:
        lines = file.readlines()
    last_import = max(i for i, line in enumerate(lines) if line.startswith("from "))
    lines.insert(last_import, recipe["line"])
    (tmp_path / recipe["table"]).write_text("".join(lines))
    assert accuracy_of_training(tmp_path, *OPTIONS[title]) > 0.85


def test_following_the_recipe_adds_an_activation(tmp_path):
    recipe = FUNCTION.search((ROOT / "WORKSPACE.md").read_text())
    copy_house(tmp_path)
    file = tmp_path / recipe["path"]
    head, table = file.read_text().split(f"{recipe['table']} = {{\n")
    file.write_text(f"{head}{recipe['code']}\n\n{recipe['table']} = {{\n{recipe['line']}{table}")
    assert accuracy_of_training(tmp_path, "--config.model.activation=mish") > 0.95


def test_following_the_recipe_adds_an_augmentation(tmp_path):
    recipe = AUGMENTATION.search((ROOT / "WORKSPACE.md").read_text())
    copy_house(tmp_path)
    functions, record = tmp_path / recipe["path"], tmp_path / recipe["record"]
    functions.write_text(f"{functions.read_text()}\n\n{recipe['code']}")
    before, after = record.read_text().split(f"    {recipe['next']}: ")
    record.write_text(f"{before}{recipe['line']}\n    {recipe['next']}: {after}")
    assert accuracy_of_training(tmp_path, "--config.augmentation.gamma=0.3") > 0.95
