"""What a checkpoint's folder should hold: every file with its digest.

Orbax finds a save that was never finished, but not a file that was changed
later: a flipped bit would be restored as a wrong number. The manifest is
written into the folder before Orbax commits it, so that no checkpoint is ever
without one.
"""

import hashlib
import json
from typing import Any

import jax

from research import remote
from research.errors import UserError, first_line
from research.workdir import read_json, write_json

NAME = "manifest.json"

Leaves = dict[str, list]
"""Path of every array of a state -> [shape, dtype]."""

COMMIT = "commit_success.txt"
"""In a bucket, a folder counts as a checkpoint of Orbax once it holds this file."""

WRITTEN_AT_COMMIT = ("_CHECKPOINT_METADATA", COMMIT)
"""Orbax's notes on the commit itself; they hold nothing of the state."""


def write(folder: remote.Path, leaves: Leaves, about: dict[str, Any]) -> None:
    """Writes the manifest of a complete checkpoint.

    Args:
      folder: the checkpoint's folder.
      leaves: what `describe_leaves` says of the state that it holds.
      about: JSON values that say what wrote it.
    """
    content = {**about, "leaves": leaves, "files": _digests(folder)}
    write_json(folder / NAME, {**content, "digest": _digest(content)})


def read(folder: remote.Path) -> dict[str, Any]:
    """Returns the manifest of a checkpoint.

    Raises:
      UserError: if there is none, or it is damaged.
    """
    content = read_json(folder / NAME)
    if not isinstance(content, dict) or content.pop("digest", None) != _digest(content):
        raise UserError(f"{folder / NAME} was altered")
    return content


def damage(folder: remote.Path) -> list[str]:
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


def describe_leaves(state: Any) -> Leaves:
    """Returns path -> [shape, dtype] of every array (or shape) in a pytree."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): [list(leaf.shape), str(leaf.dtype)]
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    }


def leaf_differences(saved: Leaves, wanted: Leaves) -> dict[str, str]:
    """Returns a line by path for each leaf that a file holds otherwise than memory needs it."""

    def show(leaves, path):
        if path not in leaves:
            return "absent"
        shape, dtype = leaves[path]
        return f"{dtype}[{','.join(map(str, shape))}]"

    return {
        path: f"{path}: {show(saved, path)} in the file, {show(wanted, path)} in memory"
        for path in sorted(saved.keys() | wanted.keys())
        if saved.get(path) != wanted.get(path)
    }


def _digest(content: dict[str, Any]) -> str:
    """Returns the BLAKE2b digest of a JSON value."""
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _digests(folder: remote.Path) -> dict[str, list]:
    """Returns relative path -> [bytes, BLAKE2b digest] of the files that hold the state."""
    found = {}
    for name in remote.files_below(folder):
        if name not in (NAME, *WRITTEN_AT_COMMIT):
            with (folder / name).open("rb") as file:
                digest = hashlib.file_digest(file, "blake2b").hexdigest()
                found[name] = [file.tell(), digest]
    return found
