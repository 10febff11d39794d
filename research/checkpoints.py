"""Checkpoints: the training state on disk, by Orbax, verified."""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import orbax.checkpoint as ocp

from research import manifest, processes, remote
from research.errors import (
    FailedSaveError,
    HungError,
    UserError,
    errors_of_disk,
    first_line,
    indented,
    shortened,
)

Score = tuple[float, float]
"""(accuracy or R², −loss) on the validation split; a larger one is better."""

SAVING_TIMEOUT = 600.0
"""Seconds after which a save that has not finished counts as hung."""


class Checkpoints:
    """The checkpoints of one work directory.

    Saving is asynchronous: it returns once the state has been copied to the
    host, and writes while training goes on. The newest ones and the best one
    stay; a save that a killed process left unfinished never counts. Each
    carries a manifest with the digest of every file, written before the folder
    is committed, and is verified before it is used.
    """

    def __init__(
        self,
        directory: remote.Path,
        keep: int = 1,
        read_only: bool = False,
        about: Mapping[str, Any] | None = None,
        timeout: float = SAVING_TIMEOUT,
    ):
        """Opens the checkpoints in `directory`.

        Args:
          directory: holds one folder a checkpoint, named by its step.
          keep: how many of the newest stay.
          read_only: whether nothing there is to be changed.
          about: JSON values that every manifest is to hold, such as versions.
          timeout: seconds after which a save counts as hung.
        """
        # Orbax's notes on itself; its failures reach us as exceptions, too.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        policies = ocp.checkpoint_managers.preservation_policy
        self._directory = directory
        self._read_only = read_only
        self._about = dict(about or {})
        self._timeout = timeout
        self._hung = False
        self._being_saved: _Saving | None = None
        self._manager = _Manager(
            directory,
            options=ocp.CheckpointManagerOptions(
                create=not read_only,
                read_only=read_only,
                cleanup_tmp_directories=not read_only,
                preservation_policy=policies.AnyPreservationPolicy(
                    [policies.LatestN(keep), _NewestWithScore(self.score)]
                ),
                async_options=ocp.AsyncOptions(
                    timeout_secs=int(timeout),
                    barrier_sync_fn=processes.meet,
                    post_finalization_callback=self._write_manifest,
                ),
            ),
        )

    def latest_step(self) -> int | None:
        """Returns the newest checkpoint's step, None where there is none."""
        return self._manager.latest_step()

    def newest_valid(self) -> int | None:
        """Returns the step of the newest undamaged checkpoint, None where there is none at all.

        The first process looks, and all get its answer. Damaged ones are reported
        and, unless read only, moved to damaged/ in the work directory: nothing is
        deleted.

        Raises:
          UserError: if there are checkpoints, but all are damaged.
        """
        step = processes.decided(self._find_newest_valid)
        self._manager.reload()
        return step

    def _find_newest_valid(self) -> int | None:
        refused = []
        for step in reversed(self.steps()):
            lines = self.damage(step)
            if not lines:
                return step
            refused.append(step)
            place = "passed over" if self._read_only else f"moved to {self._set_aside(step)}"
            logging.getLogger(__name__).warning(
                "checkpoint of step %d is damaged and was %s: %s", step, place, shortened(lines)
            )
        if refused:
            raise UserError(
                f"no checkpoint in {self._directory} is undamaged; those of steps "
                f"{', '.join(map(str, refused))} were refused"
                + ("" if self._read_only else ". The same command now starts from the beginning")
            )
        return None

    def damage(self, step: int) -> list[str]:
        """Returns what is wrong with the files of a checkpoint, [] if nothing is."""
        return manifest.damage(self._directory / str(step))

    def steps(self) -> list[int]:
        """Returns the steps of all checkpoints, ascending."""
        return sorted(self._manager.all_steps())

    def best(self) -> tuple[int, Score] | None:
        """Returns (step, score) of the best checkpoint, None where none has a score."""
        for step in reversed(self.steps()):
            if score := self.score(step):
                return step, score
        return None

    def score(self, step: int) -> Score | None:
        """Returns the score that a checkpoint was saved with, None if with none."""
        if self._being_saved and self._being_saved.step == step:
            return self._being_saved.score
        try:
            score = manifest.read(self._directory / str(step)).get("score")
        except UserError:  # damaged
            return None
        return score and tuple(score)

    def pick(self, step: int | None = None, best: bool = False) -> int:
        """Returns the step of the checkpoint that is meant.

        Args:
          step: this one; the newest undamaged one unless given.
          best: the best one by validation instead.

        Raises:
          UserError: if there is no such checkpoint.
        """
        if best:
            if found := self.best():
                return found[0]
            raise UserError(f"{self._directory} holds no checkpoint that was validated yet")
        if step is None:
            if newest := self.newest_valid():
                return newest
            raise UserError(f"{self._directory} holds no checkpoint yet")
        if step not in self.steps():
            raise UserError(
                f"{self._directory} holds no checkpoint of step {step}; there are "
                f"{', '.join(map(str, self.steps()))}"
            )
        return step

    def save(self, step: int, state: Any, score: Score | None = None) -> None:
        """Starts to save the state after `step`.

        Args:
          step: larger than that of any checkpoint there.
          state: the pytree to save; it may be donated as soon as this returns.
          score: its score, if it is the best so far.

        Raises:
          UserError: if the step is not a later one.
          FailedSaveError: if this or an earlier save has failed.
          HungError: if an earlier save does not end.
        """
        self.wait()
        latest = self.latest_step()
        if latest is not None and step <= latest:
            raise UserError(
                f"the checkpoint of step {step} was refused: {self._directory} holds step "
                f"{latest}. Is another run using this work directory?"
            )
        self._being_saved = _Saving(step, score, manifest.describe_leaves(state))
        with errors_of_disk("a checkpoint", self._directory, Exception, FailedSaveError):
            self._manager.save(step, args=ocp.args.StandardSave(state), force=True)

    def wait(self) -> None:
        """Returns once all saves are on the disk.

        Raises:
          FailedSaveError: if one has failed.
          HungError: if one does not end.
          LostProcessError: if another process, which has to save its part, has ended.
        """

        def finish():
            self._manager.wait_until_finished()
            self._manager.check_for_errors()

        self._hung = True
        finished = processes.attended(finish, self._timeout)
        if not finished.done():
            raise HungError(
                f"saving a checkpoint to {self._directory} has not ended after "
                f"{self._timeout:.0f} s; does the disk answer? The same command resumes from "
                "the last complete checkpoint"
            )
        self._hung = False
        with errors_of_disk("a checkpoint", self._directory, Exception, FailedSaveError):
            finished.result()

    def restore(self, step: int, shapes: Any) -> Any:
        """Returns the state of a checkpoint.

        Args:
          step: one of `steps()`.
          shapes: pytree of `jax.ShapeDtypeStruct` with shardings, which say
            where each array goes, whatever devices wrote it.

        Raises:
          UserError: if the checkpoint is damaged or holds another state, with
            the leaves that differ.
        """
        folder = self._directory / str(step)
        if lines := self.damage(step):
            raise UserError(
                f"checkpoint {folder} is damaged: {shortened(lines)}\nWithout "
                "--step the newest undamaged one is taken"
            )
        differing = manifest.leaf_differences(
            manifest.read(folder)["leaves"], manifest.describe_leaves(shapes)
        )
        if differing:
            raise UserError(
                f"checkpoint {folder} holds another state than this experiment needs:\n"
                f"{indented(differing.values())}\n"
                "Parts of it can be the beginning of another run: --restore_from"
            )
        try:
            return self._manager.restore(step, args=ocp.args.StandardRestore(shapes))
        except Exception as error:  # Orbax raises many kinds
            raise UserError(
                f"checkpoint {folder} can't be restored: {first_line(error)}"
            ) from error

    def close(self) -> None:
        """Waits for all saves and releases the directory."""
        if self._hung:
            return
        self.wait()
        self._manager.close()

    def _write_manifest(self) -> None:
        """Called by Orbax when all files of a save are written, before it is committed."""
        if not processes.is_first():
            return
        saving = self._being_saved
        # In a bucket, where nothing can be renamed, the folder has its name from the start.
        temporary = list(self._directory.glob(f"{saving.step}.orbax-checkpoint-tmp*"))
        (folder,) = temporary or [self._directory / str(saving.step)]
        now = time.strftime("%Y-%m-%d %H:%M:%S %z")
        about = {"step": saving.step, "score": saving.score, "saved": now, **self._about}
        manifest.write(folder, saving.leaves, about)

    def _set_aside(self, step: int) -> remote.Path:
        shelf = self._directory.parent / "damaged"
        shelf.mkdir(exist_ok=True)
        taken = sum(entry.name.split("-")[0] == str(step) for entry in shelf.glob("*"))
        target = shelf / (f"{step}-{taken + 1}" if taken else str(step))
        remote.move(self._directory / str(step), target)
        return target


class _Manager(ocp.CheckpointManager):
    """Orbax's, but that it does not ask JAX whether the run is to stop.

    JAX's answer is for who counts its questions, which the loop does
    (`research.processes.StopTogether`): of two counts the larger one holds, and
    the loop would never come to it.
    """

    def reached_preemption(self, step: int) -> bool:
        return False


@dataclasses.dataclass(frozen=True)
class _Saving:
    """What is being saved."""

    step: int
    score: Score | None
    leaves: manifest.Leaves


@dataclasses.dataclass
class _NewestWithScore:
    """Orbax preservation policy: keeps the newest checkpoint that has a score.

    Only one that was the best so far has a score, so that it is the best.
    """

    score: Callable[[int], Score | None]

    def should_preserve(self, checkpoints, *, context):
        del context
        best = max((info.step for info in checkpoints if self.score(info.step)), default=None)
        return [info.step == best for info in checkpoints]
