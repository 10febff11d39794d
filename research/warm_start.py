"""A new run that begins with arrays of another run's checkpoint."""

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp

from research import checkpoint_files, manifest, remote
from research.checkpoints import Checkpoints
from research.errors import UserError, indented, shortened, suggestion
from research.experiment import Experiment
from research.models.network import layer_names
from research.objectives import objective
from research.optimizers.wrappers import begun_at
from research.paths import path_name
from research.records import require
from research.state import TrainState


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a run takes from a checkpoint.

    Attributes:
      folder: the checkpoint's.
      taken: paths of the arrays, such as "params/dense_0/kernel".
      missing: what was chosen, too, but is not there and may be missing: a line
        for each path.
      fresh: paths of the arrays of the head, which begin afresh.
      left: paths of what the checkpoint holds beyond what was taken of it.
    """

    folder: remote.Path
    taken: tuple[str, ...]
    missing: tuple[str, ...]
    fresh: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = {
            f"restored from {self.folder}:": self.taken,
            "not restored, as --allow_missing says:": self.missing,
            "begun afresh, as config.transfer.until says:": self.fresh,
            "left in the checkpoint:": self.left,
        }
        return "\n".join(f"{head}\n{indented(lines)}" for head, lines in parts.items() if lines)


def choose(shapes: Any, experiment: Experiment, input_shape: tuple[int, ...]) -> Choice:
    """Verifies a checkpoint and finds out which of its arrays a run takes.

    Args:
      shapes: the state of the run, as arrays or shapes.
      experiment: says where the run begins, and what it takes from there.
      input_shape: that of one input, from which the order of the layers follows.

    Raises:
      UserError: if the checkpoint is damaged or absent, the model has no such
        layer, or one of the arrays is not in the checkpoint with this shape and
        dtype and may not be missing.
    """
    options = experiment.transfer
    folder = _source(experiment.init_from)
    leaves = manifest.read(folder)["leaves"]
    saved = _chosen(leaves, options.only)
    wanted = _chosen(manifest.describe_leaves(shapes), options.only)
    fresh = left = ()
    if options.until:
        trunk = _layers_before(options.until, experiment, input_shape)
        fresh = tuple(sorted(path for path in wanted if not _belongs(path, trunk)))
        left = tuple(sorted(path for path in saved if not _belongs(path, trunk)))
        wanted = {path: wanted[path] for path in wanted if path not in fresh}
        saved = {path: saved[path] for path in saved if path not in left}
    differing = manifest.leaf_differences(saved, wanted)
    refused = [
        line
        for path, line in differing.items()
        if not (options.allow_missing and re.match(options.allow_missing, path))
    ]
    if refused:
        raise UserError(
            f"checkpoint {folder} holds other arrays than this experiment needs:\n"
            f"{indented(refused)}\nStop before a layer with --config.transfer.until, choose "
            "others with --restore_only, or let these keep their initial values with "
            "--allow_missing; these two take regular expressions"
        )
    taken = tuple(sorted(wanted.keys() - differing.keys()))
    if not taken:
        raise UserError(
            f"checkpoint {folder} has nothing for this run: no path that begins with "
            f"{options.only!r} is in both. Paths are such as {shortened(leaves, 3)}"
        )
    return Choice(folder, taken, tuple(differing.values()), fresh, left)


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


def _source(path: str) -> remote.Path:
    """Returns the folder of the checkpoint that is meant by it or its work directory."""
    checkpoints = remote.locate(path) / "checkpoints"
    if not checkpoints.is_dir():
        return checkpoint_files.find(path)
    saved = Checkpoints(checkpoints, read_only=True)
    try:
        return checkpoint_files.find(checkpoints / str(saved.pick()))
    finally:
        saved.close()


def _layers_before(
    layer: str, experiment: Experiment, input_shape: tuple[int, ...]
) -> tuple[str, ...]:
    """Returns the layers of an experiment's model that stand before one of them."""
    outputs = objective(experiment.loss, 2).num_outputs  # as many as any; the order is the same
    layers = layer_names(experiment.model, outputs, input_shape)
    path, known = "config.transfer.until", f"Its layers, in order: {', '.join(layers)}"
    require(
        layer in layers,
        path,
        f"the model has no layer {layer!r}.{suggestion(layer, layers)}\n{known}",
    )
    require(
        layer != layers[0],
        path,
        f"nothing would be taken: {layer!r} is the model's first layer\n{known}",
    )
    return layers[: layers.index(layer)]


def _belongs(path: str, layers: tuple[str, ...]) -> bool:
    """Whether an array, such as "opt_state/0/mu/conv_0/kernel", belongs to one of the layers."""
    return any(part in layers for part in path.split("/"))
