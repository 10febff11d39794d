"""What can be done with the checkpoints of a work directory from outside of a run."""

import dataclasses
import os
from typing import Any

import numpy as np

from research import checkpoint_files, manifest, metrics, remote, workdir
from research.checkpoints import Checkpoints, Score
from research.errors import UserError, errors_of_disk, shortened
from research.experiment import from_recorded
from research.records import difference


def open_checkpoints(path: str | os.PathLike) -> tuple[workdir.Workdir, Checkpoints]:
    """Opens the checkpoints of a work directory, to be read.

    Raises:
      UserError: if there are none.
    """
    files = workdir.find_workdir(path)
    if not files.checkpoints.is_dir():
        raise UserError(f"{files.home} holds no checkpoints; is it a work directory?")
    checkpoints = Checkpoints(files.checkpoints, read_only=True)
    if not checkpoints.steps():
        raise UserError(f"{files.checkpoints} holds no checkpoint yet")
    return files, checkpoints


@dataclasses.dataclass(frozen=True)
class Listed:
    """What a checkpoint's manifest says of it.

    Attributes:
      step: its step.
      saved: when, as date and time; "" where an earlier version did not note it.
      size: bytes of its files.
      score: (accuracy, −loss) on validation, of numbers that are predicted (R²,
        −loss); None where it was not the best then.
      measure: "accuracy" or "R²".
      jax: the version of JAX that wrote it; "" where that was not noted.
    """

    step: int
    saved: str
    size: int
    score: Score | None
    measure: str
    jax: str


def list_all(path: str) -> dict[int, Listed | None]:
    """Returns the checkpoints of a work directory by step; None for a damaged manifest."""
    files, checkpoints = open_checkpoints(path)
    return {step: _listed(files.checkpoints / str(step)) for step in checkpoints.steps()}


def _listed(folder: remote.Path) -> Listed | None:
    try:
        content = manifest.read(folder)
    except UserError:
        return None
    predicts_numbers = content.get("experiment", {}).get("data", {}).get("regression")
    return Listed(
        step=int(folder.name),
        saved=content.get("saved", ""),
        size=sum(size for size, _ in content["files"].values()),
        score=content.get("score"),
        measure="R²" if predicts_numbers else "accuracy",
        jax=content.get("versions", {}).get("jax", ""),
    )


def damages(path: str, step: int | None = None) -> dict[int, list[str]]:
    """Reads all files of one or all checkpoints; returns what is wrong with them by step."""
    _, checkpoints = open_checkpoints(path)
    steps = checkpoints.steps() if step is None else [checkpoints.pick(step)]
    return {each: checkpoints.damage(each) for each in steps}


@dataclasses.dataclass(frozen=True)
class Difference:
    """In what two checkpoints differ.

    Attributes:
      experiment: lines "field: one -> other".
      arrays: a line for each array that differs.
      equal: how many arrays are equal, bit for bit.
    """

    experiment: list[str]
    arrays: list[str]
    equal: int


def compare(one: remote.Path, other: remote.Path) -> Difference:
    """Compares two checkpoint folders, array by array.

    Raises:
      UserError: if one of them is absent or damaged.
    """
    folders = [checkpoint_files.find(folder) for folder in (one, other)]
    recorded = [manifest.read(folder).get("experiment") for folder in folders]
    experiments = [from_recorded(values) for values in recorded if values]
    ours, theirs = map(checkpoint_files.read_arrays, folders)
    differing = {
        path: _how_they_differ(ours.get(path), theirs.get(path))
        for path in sorted(ours.keys() | theirs.keys())
    }
    return Difference(
        experiment=difference(*experiments) if len(experiments) == 2 else [],
        arrays=[f"{path}: {how}" for path, how in differing.items() if how],
        equal=sum(not how for how in differing.values()),
    )


def _how_they_differ(one: Any, other: Any) -> str:
    if one is None or other is None:
        return f"only in the {'second' if one is None else 'first'}"
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return " and ".join(f"{each.dtype}{list(each.shape)}" for each in (one, other))
    if one.tobytes() == other.tobytes():
        return ""
    gap = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return f"{np.count_nonzero(gap)} of {gap.size} elements differ, by {np.nanmax(gap):.3g} at most"


def copy(path: str, target: str, step: int | None = None, best: bool = False) -> remote.Path:
    """Copies a checkpoint, with experiment and metrics, to another work directory.

    That directory can be evaluated, and a run goes on there after this step.

    Args:
      path: the work directory.
      target: the other one; it is made, or belongs to the same experiment.
      step: which checkpoint; the newest undamaged one unless given.
      best: the best one by validation instead.

    Returns:
      The checkpoint's new folder.

    Raises:
      UserError: if it is damaged or there already, or the target is another
        experiment's or can't be written.
    """
    files, checkpoints = open_checkpoints(path)
    step = checkpoints.pick(step, best)
    folder = checkpoint_files.find(files.checkpoints / str(step))
    experiment, fingerprint = workdir.read_experiment(files)
    to = workdir.open_workdir(target)
    copied = to.checkpoints / str(step)
    with to.sole_writer(), errors_of_disk("the copy", to.home):
        if checkpoint_files.is_committed(copied):
            raise UserError(f"{copied} is there already")
        if not to.experiment.exists() and not to.checkpoints.exists():
            workdir.replace_file(to.experiment, files.experiment.read_text())
            to.push()
        workdir.claim(to, experiment, fingerprint)
        unfinished = checkpoint_files.retract(copied, "copy")
        remote.remove(unfinished)
        remote.copy(folder, unfinished, leave_out=(manifest.COMMIT,))
        if lines := manifest.damage(unfinished):
            raise UserError(f"the copy {unfinished} is damaged: {shortened(lines)}")
        if all(line["step"] < step for line in metrics.read(to.metrics)):
            kept = [line for line in metrics.read(files.metrics) if line["step"] <= step]
            metrics.rewrite(to.metrics, kept)
        to.push()
        checkpoint_files.commit(unfinished, copied)
    return copied


@dataclasses.dataclass(frozen=True)
class Pruned:
    """What `prune` did: steps that stay, steps that are gone, and damaged ones left alone."""

    kept: list[int]
    removed: list[int]
    damaged: list[int]


def prune(path: str, keep: int) -> Pruned:
    """Removes all but the newest undamaged checkpoints and the best one.

    Args:
      path: a work directory that no run is writing.
      keep: how many of the newest stay, at least 1.

    Raises:
      UserError: if a run holds the directory, or no checkpoint is undamaged.
    """
    files, checkpoints = open_checkpoints(path)
    with files.sole_writer(), errors_of_disk("what to keep", files.checkpoints):
        steps = checkpoints.steps()
        damaged = [step for step in steps if checkpoints.damage(step)]
        good = [step for step in steps if step not in damaged]
        if not good:
            raise UserError(f"no checkpoint in {files.checkpoints} is undamaged; none was removed")
        best = checkpoints.best()
        kept = sorted({*good[-keep:], *([best[0]] if best and best[0] in good else [])})
        removed = [step for step in good if step not in kept]
        for step in removed:
            # First of all a folder that is half removed must not count as a checkpoint.
            remote.remove(checkpoint_files.retract(files.checkpoints / str(step), "pruned"))
    return Pruned(kept, removed, damaged)
