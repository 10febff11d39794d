"""What a run reports while it trains: lines of metrics, and progress on the console."""

from collections.abc import Mapping
from typing import Any

import jax

from research import metrics, processes
from research.console import Console
from research.divergence import Watch
from research.evaluation import Measured
from research.experiment import Timetable
from research.workdir import Workdir


class Journal:
    """Writes the lines that are due; the first process's alone are kept."""

    def __init__(
        self,
        plan: Timetable,
        watch: Watch,
        files: Workdir,
        console: Console,
        resume_step: int,
        tensorboard: bool,
    ):
        """Opens the metrics files of a run that goes on after `resume_step`.

        Raises:
          UserError: if they can't be read or written, here as in all methods.
        """
        self._plan = plan
        self._watch = watch
        self._console = console
        self._skipped = 0.0
        self._log = (
            metrics.MetricsLog(files, resume_step, tensorboard)
            if processes.is_first()
            else metrics.NoLog()
        )

    def training(
        self, begun: int, steps: int, values: Mapping[str, jax.Array], pace: Mapping[str, float]
    ) -> None:
        """Reports training steps.

        Args:
          begun: the step after which they were made.
          steps: how many they are.
          values: the metrics of each, [at least `steps`].
          pace: see `Pace.read`.

        Raises:
          DivergedError: if the loss or the gradient of one was not finite; what was
            due before it is written.
        """
        values = jax.device_get(dict(values))
        nonfinite = values.pop("first_nonfinite_step")
        last = None
        for index in range(steps):
            if self._plan.logs_after(begun + index + 1):
                self._watch.check(nonfinite[index])
                last = begun + index + 1, {name: value[index] for name, value in values.items()}
                self._write(*last, "train")
        self._watch.check(nonfinite[steps - 1])
        if last:
            step, line = last[0], self._shown(last[1])
            self._say_skipped(step, line.get("skipped_steps", 0))
            self._console.progress(step, self._plan.total_steps, line, pace)

    def validation(self, step: int, results: Mapping[str, Measured]) -> None:
        """Reports what evaluation after a step gave, by the name of the split."""
        for split, result in results.items():
            self._write(step, result.values(), split)
            self._console.message(f"step {step}/{self._plan.total_steps}  {split}  {result.text()}")

    def flush(self) -> None:
        """Returns once all lines are on the disk."""
        self._log.flush()

    def close(self) -> None:
        """Writes out everything and closes the files."""
        self._log.close()

    def _write(self, step: int, values: Mapping[str, Any], split: str) -> None:
        """Writes a line of metrics; values are numbers or arrays of no dimension."""
        values = {name: v if isinstance(v, int) else float(v) for name, v in values.items()}
        epoch = round(step / self._plan.steps_per_epoch, 4)
        self._log.write({"step": step, "epoch": epoch, "split": split, **values})

    def _shown(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Returns the values that progress shows."""
        return {name: float(value) for name, value in values.items()}

    def _say_skipped(self, step: int, skipped: float) -> None:
        if skipped > self._skipped:
            self._skipped = skipped
            self._console.message(
                f"{skipped:.0f} steps up to step {step} were skipped: their loss or "
                "gradient was not finite"
            )
