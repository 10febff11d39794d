"""What a checkpoint's folder should hold: every file with its digest.

Orbax finds a save that was never finished, but not a file that was changed
later: a flipped bit would be restored as a wrong number. The manifest is
written into the folder before Orbax commits it, so that no checkpoint is ever
without one.
"""

import hashlib
import pathlib
from typing import Any

import jax

from research.errors import first_line
from research.workdir import read_json, write_json

NAME = "manifest.json"

WRITTEN_AT_COMMIT = ("_CHECKPOINT_METADATA", "commit_success.txt")
"""Orbax's notes on the commit itself; they hold nothing of the state."""


def write(folder: pathlib.Path, leaves: dict[str, list], about: dict[str, Any]) -> None:
    """Writes the manifest of a complete checkpoint.

    Args:
      folder: the checkpoint's folder.
      leaves: what `describe_leaves` says of the state that it holds.
      about: JSON values that say what wrote it.
    """
    write_json(folder / NAME, {**about, "leaves": leaves, "files": _digests(folder)})


def read(folder: pathlib.Path) -> dict[str, Any]:
    """Returns the manifest of a checkpoint.

    Raises:
      UserError: if there is none, or it isn't JSON.
    """
    return read_json(folder / NAME)


def damage(folder: pathlib.Path) -> list[str]:
    """Returns what is wrong with a checkpoint's files, one line each; [] if nothing is."""
    if not (folder / NAME).is_file():
        return [f"{NAME} is missing"]
    try:
        expected = read(folder)["files"]
        found = _digests(folder)
    except Exception as error:  # damage takes any form
        return [f"{NAME} can't be used: {first_line(error)}"]
    lines = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    lines += [f"{name} was added" for name in sorted(found.keys() - expected.keys())]
    for name in sorted(expected.keys() & found.keys()):
        (size, digest), (found_size, found_digest) = expected[name], found[name]
        if size != found_size:
            lines.append(f"{name} has {found_size} bytes instead of {size}")
        elif digest != found_digest:
            lines.append(f"{name} was altered")
    return lines


def describe_leaves(state: Any) -> dict[str, list]:
    """Returns path -> [shape, dtype] of every array (or shape) in a pytree."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): [list(leaf.shape), str(leaf.dtype)]
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    }


def leaf_differences(saved: dict[str, list], wanted: dict[str, list]) -> list[str]:
    """Returns one line for each leaf that a file holds otherwise than memory needs it."""

    def show(leaves, path):
        if path not in leaves:
            return "absent"
        shape, dtype = leaves[path]
        return f"{dtype}[{','.join(map(str, shape))}]"

    return [
        f"{path}: {show(saved, path)} in the file, {show(wanted, path)} in memory"
        for path in sorted(saved.keys() | wanted.keys())
        if saved.get(path) != wanted.get(path)
    ]


def _digests(folder: pathlib.Path) -> dict[str, list]:
    """Returns relative path -> [bytes, BLAKE2b digest] of the files that hold the state."""
    others = {folder / name for name in (NAME, *WRITTEN_AT_COMMIT)}
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path not in others:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "blake2b").hexdigest()
            found[path.relative_to(folder).as_posix()] = [path.stat().st_size, digest]
    return found
