"""A new run that begins with arrays of another run's checkpoint."""

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp

from research import checkpoint_files, manifest, remote
from research.errors import UserError, indented, shortened
from research.experiment import Restore
from research.optimizers.wrappers import begun_at
from research.paths import path_name
from research.state import TrainState


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a run takes from a checkpoint.

    Attributes:
      folder: the checkpoint's.
      taken: paths of the arrays, such as "params/dense_0/kernel".
      missing: what was chosen, too, but is not there and may be missing: a line
        for each path.
    """

    folder: remote.Path
    taken: tuple[str, ...]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        text = f"restored from {self.folder}:\n{indented(self.taken)}"
        if self.missing:
            text += f"\nnot restored, as --allow_missing says:\n{indented(self.missing)}"
        return text


def choose(shapes: Any, restore: Restore) -> Choice:
    """Verifies a checkpoint and finds out which of its arrays a run takes.

    Args:
      shapes: the state of the run, as arrays or shapes.
      restore: which checkpoint, and which of its arrays.

    Raises:
      UserError: if the checkpoint is damaged or absent, or if one of the arrays
        is not in it with this shape and dtype and may not be missing.
    """
    folder = checkpoint_files.find(restore.checkpoint)
    leaves = manifest.read(folder)["leaves"]
    saved = _chosen(leaves, restore.only)
    wanted = _chosen(manifest.describe_leaves(shapes), restore.only)
    differing = manifest.leaf_differences(saved, wanted)
    refused = [
        line
        for path, line in differing.items()
        if not (restore.allow_missing and re.match(restore.allow_missing, path))
    ]
    if refused:
        raise UserError(
            f"checkpoint {folder} holds other arrays than this experiment needs:\n"
            f"{indented(refused)}\nChoose others with --restore_only, or let these keep their "
            "initial values with --allow_missing; both take regular expressions"
        )
    taken = tuple(sorted(wanted.keys() - differing.keys()))
    if not taken:
        raise UserError(
            f"checkpoint {folder} has nothing for this run: no path that begins with "
            f"{restore.only!r} is in both. Paths are such as {shortened(leaves, 3)}"
        )
    return Choice(folder, taken, tuple(differing.values()))


def begin_with(choice: Choice, state: TrainState) -> TrainState:
    """Returns an initial state with the arrays of a checkpoint in their places."""
    taken = set(choice.taken)
    shapes = {
        path_name(path): jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
        if path_name(path) in taken
    }
    arrays = checkpoint_files.read_arrays(choice.folder, shapes)
    state = jax.tree_util.tree_map_with_path(
        lambda path, leaf: arrays.get(path_name(path), leaf), state
    )
    # Averages begin at the parameters; the step may not be given one array twice.
    if state.average and not any(path.startswith("average/") for path in taken):
        state = state.replace(average=jax.tree.map(jnp.copy, state.params))
    if not any(path.startswith("opt_state/") for path in taken):
        state = state.replace(opt_state=begun_at(state.opt_state, state.params))
    return state


def _chosen(leaves: manifest.Leaves, pattern: str) -> manifest.Leaves:
    return {path: value for path, value in leaves.items() if re.match(pattern, path)}
