"""Checkpoint folders as files: found, verified and read without their experiment."""

import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from research import manifest, remote
from research.errors import UserError, first_line, shortened
from research.sharding import path_name

IN_THE_MAKING = "orbax-checkpoint-tmp"
"""Part of the names of folders that Orbax takes for unfinished and clears away."""


def find(path: str | os.PathLike) -> remote.Path:
    """Returns the folder of an undamaged checkpoint.

    Args:
      path: WORKDIR/checkpoints/STEP.

    Raises:
      UserError: if there is none, naming those that are near, or it is damaged.
    """
    folder = remote.locate(path)
    if not (folder / manifest.NAME).exists():
        root = folder if folder.name == "checkpoints" else folder / "checkpoints"
        found = sorted(map(str, root.glob("[0-9]*")))
        raise UserError(
            f"{folder} is no checkpoint. "
            + (f"There are {shortened(found)}" if found else "Give WORKDIR/checkpoints/STEP")
        )
    if lines := manifest.damage(folder):
        raise UserError(f"checkpoint {folder} is damaged: {shortened(lines)}")
    return folder


def is_committed(folder: remote.Path) -> bool:
    """Whether a checkpoint's folder is there and counts."""
    return (folder / manifest.COMMIT if remote.is_remote(folder) else folder).exists()


def retract(folder: remote.Path, suffix: str) -> remote.Path:
    """Returns where a checkpoint does not count, be it there or not yet; moves it if it is."""
    if remote.is_remote(folder):
        (folder / manifest.COMMIT).unlink(missing_ok=True)
        return folder
    place = folder.with_name(f"{folder.name}.{IN_THE_MAKING}-{suffix}")
    return folder.rename(place) if folder.exists() else place


def commit(place: remote.Path, folder: remote.Path) -> None:
    """Lets a checkpoint count that is complete in the place that `retract` named."""
    if remote.is_remote(folder):
        (folder / manifest.COMMIT).write_text(f"Copied to {folder}")
    else:
        place.rename(folder)


def read_arrays(
    folder: remote.Path, shapes: Mapping[str, jax.ShapeDtypeStruct] | None = None
) -> dict[str, Any]:
    """Reads arrays of a checkpoint.

    Args:
      folder: the checkpoint's.
      shapes: path such as "params/dense_0/kernel" -> what it holds and where it
        goes; no others are read. Without it all are, to the host.

    Returns:
      Path -> array; numpy's where no `shapes` are given.

    Raises:
      UserError: if they can't be read.
    """
    checkpointer = ocp.PyTreeCheckpointer()
    try:
        tree = checkpointer.metadata(folder / "default").item_metadata.tree
        if shapes is None:
            arguments = ocp.args.PyTreeRestore(
                restore_args=jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
            )
        else:
            item = jax.tree_util.tree_map_with_path(
                lambda path, _: shapes.get(path_name(path), ocp.PLACEHOLDER), tree
            )
            arguments = ocp.args.PyTreeRestore(
                item=item, restore_args=ocp.checkpoint_utils.construct_restore_args(item)
            )
        found = checkpointer.restore(folder / "default", args=arguments)
    except Exception as error:  # Orbax raises many kinds
        raise UserError(f"checkpoint {folder} can't be read: {first_line(error)}") from error
    return {
        path_name(path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(found)
        if leaf is not ocp.PLACEHOLDER
    }
