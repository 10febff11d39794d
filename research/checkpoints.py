"""Checkpoints: the training state on disk, by Orbax."""

import dataclasses
import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp

from research.errors import UserError

Score = tuple[float, float]
"""(accuracy, −loss) on the validation split; a larger one is better."""


class Checkpoints:
    """The checkpoints of one work directory.

    Saving is asynchronous: it returns once the state has been copied to the
    host, and writes while training goes on. The newest ones and the best one
    stay; a save that a killed process left unfinished never counts.
    """

    def __init__(self, directory: pathlib.Path, keep: int = 1, read_only: bool = False):
        """Opens the checkpoints in `directory`; `keep` of the newest stay."""
        policies = ocp.checkpoint_managers.preservation_policy
        self._directory = directory
        self._manager = ocp.CheckpointManager(
            directory,
            options=ocp.CheckpointManagerOptions(
                create=not read_only,
                read_only=read_only,
                cleanup_tmp_directories=not read_only,
                # Without a best_fn Orbax would not write scores at all.
                best_fn=lambda score: score["accuracy"],
                # Only a checkpoint that was the best so far has a score, so the
                # best is the newest that has one.
                preservation_policy=policies.AnyPreservationPolicy(
                    [policies.LatestN(keep), _NewestWithScore()]
                ),
            ),
        )

    def latest_step(self) -> int | None:
        """Returns the newest checkpoint's step, None where there is none."""
        return self._manager.latest_step()

    def steps(self) -> list[int]:
        """Returns the steps of all checkpoints, ascending."""
        return sorted(self._manager.all_steps())

    def best(self) -> tuple[int, Score] | None:
        """Returns (step, score) of the best checkpoint, None where none has a score."""
        for step in reversed(self.steps()):
            if metrics := self._manager.metrics(step):
                return step, (metrics["accuracy"], -metrics["loss"])
        return None

    def save(self, step: int, state: Any, score: Score | None = None) -> None:
        """Starts to save the state after `step`.

        Args:
          step: larger than that of any checkpoint there.
          state: the pytree to save; it may be donated as soon as this returns.
          score: its score, if it is the best so far.

        Raises:
          UserError: if an earlier save has failed, or the step is not a later one.
        """
        latest = self.latest_step()
        if latest is not None and step <= latest:
            raise UserError(
                f"the checkpoint of step {step} was refused: {self._directory} holds step "
                f"{latest}. Is another run using this work directory?"
            )
        metrics = None if score is None else {"accuracy": score[0], "loss": -score[1]}
        with _errors_of_saving(self._directory):
            self._manager.save(step, args=ocp.args.StandardSave(state), metrics=metrics, force=True)

    def wait(self) -> None:
        """Returns once all saves are on the disk.

        Raises:
          UserError: if one has failed.
        """
        with _errors_of_saving(self._directory):
            self._manager.wait_until_finished()
            self._manager.check_for_errors()

    def restore(self, step: int, shapes: Any) -> Any:
        """Returns the state of a checkpoint.

        Args:
          step: one of `steps()`.
          shapes: pytree of `jax.ShapeDtypeStruct` with shardings, which say
            where each array goes, whatever devices wrote it.

        Raises:
          UserError: if the checkpoint is damaged or holds another state.
        """
        try:
            return self._manager.restore(step, args=ocp.args.StandardRestore(shapes))
        except Exception as error:  # Orbax raises many kinds for damaged files
            raise UserError(
                f"checkpoint {self._directory / str(step)} can't be restored: "
                f"{_first_line(error)}\nIf it is damaged, remove that folder: the same "
                "command then goes on from the checkpoint before it"
            ) from error

    def close(self) -> None:
        """Waits for all saves and releases the directory."""
        self.wait()
        self._manager.close()


def with_shardings(shapes: Any, shardings: Any) -> Any:
    """Returns a tree of `jax.ShapeDtypeStruct` that say where each array goes."""
    return jax.tree.map(
        lambda shape, sharding: jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding),
        shapes,
        shardings,
    )


@dataclasses.dataclass
class _NewestWithScore:
    """Orbax preservation policy: keeps the newest checkpoint that has metrics."""

    def should_preserve(self, checkpoints, *, context):
        del context
        scored = [info.step for info in checkpoints if info.metrics]
        return [bool(scored) and info.step == scored[-1] for info in checkpoints]


class _errors_of_saving:
    """Turns the failure of a save into an error that says where and what to do."""

    def __init__(self, directory: pathlib.Path):
        self._directory = directory

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, Exception):
            raise UserError(
                f"a checkpoint could not be written to {self._directory}: {_first_line(error)}\n"
                "Training has stopped. Make room or grant access there; the same command "
                "then resumes from the last complete checkpoint"
            ) from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
