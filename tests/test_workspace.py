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

OPTIONS = {
    "a model": ["--config.model.name=bottleneck", "--config.model.width=32"],
    "a data set": ["--config.data.name=wine", "--config.global_batch_size=32"],
    "an optimizer": ["--config.optimizer.name=signed", "--config.optimizer.l1=1e-4"],
}


@pytest.mark.parametrize("title", OPTIONS)
def test_following_the_recipe_adds_it(title, tmp_path):
    recipe = RECIPES[title]
    for package in ("research", "configs", "launch"):
        shutil.copytree(ROOT / package, tmp_path / package)
    assert not (tmp_path / recipe["path"]).exists()
    (tmp_path / recipe["path"]).write_text(recipe["code"])
    with (tmp_path / recipe["table"]).open() as file:
        lines = file.readlines()
    last_import = max(i for i, line in enumerate(lines) if line.startswith("from "))
    lines.insert(last_import, recipe["line"])
    (tmp_path / recipe["table"]).write_text("".join(lines))

    command = [sys.executable, "-m", "launch.train", *OPTIONS[title]]
    finished = subprocess.run(
        [*command, "--workdir=run", "--config.epochs=30"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["test"]["accuracy"] > 0.85
