"""What data that comes from elsewhere is not allowed to do.

It is read, never executed, and what it names must lie within its own folder.
"""

import json
import pathlib
import re
from collections.abc import Iterable

from etils import epath

from research.errors import UserError

FEATURES = "tensorflow_datasets."
"""Where the classes stand that a prepared data set may name as its features."""


def check_inside(paths: Iterable[pathlib.Path], root: pathlib.Path) -> None:
    """Raises `UserError` if a link leads out of a data folder.

    Args:
      paths: files or folders within `root`, as they are named there.
      root: the data folder; it may be a link itself.
    """
    resolved = root.resolve()
    for path in paths:
        # Most need no resolving, which takes longer than finding that out.
        if path.is_symlink() or ".." in path.parts or not path.is_relative_to(root):
            target = path.resolve()
            if not target.is_relative_to(resolved):
                raise UserError(
                    f"{path} leads to {target}, outside of the data folder {root}, and is not "
                    "read. Copy what it stands for into that folder"
                )


def check_name(name: str) -> None:
    """Raises `UserError` if TFDS would fetch the code of a data set by this name."""
    if re.match(r"[^:/]*:[^\d*]", name):
        raise UserError(
            f"no data set is called {name!r} in the catalogue: it would be a community's, whose "
            "code TFDS would fetch and run"
        )


def check_features(folder: str) -> None:
    """Raises `UserError` if a prepared data set names code that is not TFDS's own.

    TFDS imports whatever module the file features.json says.

    Args:
      folder: holds [CONFIG/]VERSION/features.json; it may be in a bucket.
    """
    root = epath.Path(folder)
    for path in (*root.glob("*/features.json"), *root.glob("*/*/features.json")):
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError):  # TFDS will say what is wrong with it
            continue
        for name in _class_names(content):
            if not name.startswith(FEATURES):
                raise UserError(
                    f"{path} names {name!r}, which is not code of TensorFlow Datasets. Data is "
                    "never executed; prepare the data set anew"
                )


def _class_names(content: object) -> Iterable[str]:
    """Yields the names of classes within a JSON value, as TFDS writes and wrote them."""
    if isinstance(content, dict):
        if "content" in content:
            yield str(content.get("type", FEATURES))
        yield str(content.get("pythonClassName", FEATURES))
        for value in content.values():
            yield from _class_names(value)
    elif isinstance(content, list):
        for value in content:
            yield from _class_names(value)
