"""The loop: the one place where steps, data, checkpoints and metrics meet."""

import collections
import contextlib
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax

from research import evaluation, mesh, metrics, processes, report, state, warm_start, workdir
from research.checkpoints import Checkpoints, Score
from research.console import Console
from research.data.feed import train_batch
from research.data.splits import Dataset, Split, open_dataset
from research.divergence import Watch
from research.experiment import Experiment, Timetable, timetable
from research.pace import Pace
from research.program import Program, compile_train_step, make_program

STEPS_IN_FLIGHT = 4
"""How many steps the host may be ahead of the devices: enough to keep them busy,
few enough that a stop is heeded soon. (Simulated devices of several processes
deadlock when much more is queued.)"""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a call of `train` ended.

    Attributes:
      step: the last training step made.
      stopped: why training was stopped before its end, "" if it was not.
      summary: what summary.json holds; empty if stopped.
    """

    step: int
    stopped: str
    summary: dict[str, Any]


def train(
    experiment: Experiment,
    path: str,
    console: Console,
    stop_requested: Callable[[], str] = lambda: "",
) -> Outcome:
    """Trains an experiment in a work directory, from the newest checkpoint there.

    A run that was stopped and resumed, however often, ends with the same
    parameters, optimizer state, averages and metrics as one that was not, bit
    for bit on the same machine.

    Args:
      experiment: a checked and frozen experiment.
      path: the work directory; created if it isn't there.
      console: where progress is shown.
      stop_requested: asked before every step; a reason such as "SIGTERM" makes
        the run save its state and return.

    Raises:
      UserError: if something is wrong that the user can mend.
      DivergedError: if the loss or the gradient is no longer finite.
    """
    files = workdir.open_workdir(path)
    with contextlib.ExitStack() as stack:
        processes.check_same("the experiment", dataclasses.asdict(experiment))
        processes.decided(lambda: stack.enter_context(files.sole_writer()))
        dataset = open_dataset(experiment.data)
        processes.check_same("the data set", dataset.fingerprint)
        plan = timetable(experiment, len(dataset.train))
        program = make_program(experiment, plan, dataset)
        if experiment.init_from and not processes.decided(files.experiment.exists):
            warm_start.choose(program.state_shapes, experiment, dataset.input_shape)
        processes.decided(lambda: workdir.claim(files, experiment, dataset.fingerprint))
        checkpoints = Checkpoints(
            files.checkpoints,
            keep=experiment.checkpoint.keep,
            about={
                "experiment": dataclasses.asdict(experiment),
                "mesh": mesh.describe(program.mesh, experiment.mesh.mode),
                "versions": workdir.versions(),
            },
        )
        stack.callback(checkpoints.close)
        run = Run(experiment, plan, program, dataset, files, checkpoints, console)
        if stopped := run.train(processes.StopTogether(stop_requested)):
            saved = f"saved in {files.checkpoints}" if run.step else "nothing to save yet"
            console.message(
                f"stopped by {stopped} after step {run.step}; {saved}. "
                "The same command again goes on from here"
            )
            return Outcome(run.step, stopped, {})
        return Outcome(run.step, "", run.finish())


class Run:
    """A run in progress: its state on the devices, and its files."""

    def __init__(
        self,
        experiment: Experiment,
        plan: Timetable,
        program: Program,
        dataset: Dataset,
        files: workdir.Workdir,
        checkpoints: Checkpoints,
        console: Console,
    ):
        """Restores the newest checkpoint, or starts from the initial state."""
        self._experiment = experiment
        self._plan = plan
        self._program = program
        self._dataset = dataset
        self._files = files
        self._checkpoints = checkpoints
        self._console = console
        self._watch = Watch(experiment, program, files, checkpoints)
        self._began = time.perf_counter()
        self._pace = Pace(experiment.global_batch_size)
        self._in_flight: collections.deque[dict[str, jax.Array]] = collections.deque()
        self._unwritten: tuple[int, dict[str, jax.Array]] | None = None
        self._skipped = 0.0
        self._saved_at = time.monotonic()
        self.step = checkpoints.newest_valid() or 0
        if self.step:
            self._state = checkpoints.restore(self.step, program.state_shapes)
            console.message(f"resuming after step {self.step} from {files.checkpoints}")
        else:
            self._state = program.init()
            if experiment.init_from:
                choice = warm_start.choose(self._state, experiment, dataset.input_shape)
                self._state = warm_start.begin_with(choice, self._state)
                console.message(str(choice))
        self._best_step, self._best_score = checkpoints.best() or (0, None)
        self._log = (
            metrics.MetricsLog(files, self.step, experiment.logging.tensorboard)
            if processes.is_first()
            else metrics.NoLog()
        )

    def train(self, stops_before: Callable[[int], str]) -> str:
        """Trains to the end or until asked to stop; returns why it stopped, or ""."""
        self._describe()
        if self._ended():
            self._console.message("this run is finished; measuring and reporting once more")
            return ""
        if reason := stops_before(self.step):
            return reason
        compiled = compile_train_step(self._program, self._batch(self.step))
        self._console.message(
            f"compiled in {compiled.seconds:.1f} s "
            f"(compilation cache {'hit' if compiled.cache_hit else 'miss'}), "
            f"{compiled.flops / 1e9:.3g} GFLOP a step"
        )
        self._console.start(self._plan.total_steps, self.step)
        self._pace = Pace(self._experiment.global_batch_size)
        try:
            # Nothing may cross between host and devices unless it says so.
            with jax.transfer_guard("disallow"):
                while not self._ended():
                    if reason := stops_before(self.step):
                        self._save_unless_saved()
                        self._checkpoints.wait()
                        return reason
                    self._advance(compiled.call)
        finally:
            self._console.stop()
            self._log.flush()
        if self.step < self._plan.total_steps:
            self._console.message(
                f"stopped early after step {self.step}: no evaluation was better than that of "
                f"step {self._best_step}"
            )
        return ""

    def _ended(self) -> bool:
        return self._plan.ends_after(self.step, self._best_step)

    def finish(self) -> dict[str, Any]:
        """Measures the test split, writes the summary and draws the curves."""
        self._checkpoints.wait()
        best = self._checkpoints.best()
        test_step = self.step
        if self._experiment.evaluation.test_checkpoint == "best" and best:
            test_step = best[0]
            if test_step != self.step:
                self._state = self._checkpoints.restore(test_step, self._program.state_shapes)
        results = self._evaluate(self._dataset.read_test(), "test")
        for split, result in results.items():
            self._console.message(
                f"{split} {result.text(', ')} ({result.examples} examples, step {test_step})"
            )
        summary = {
            "experiment": self._experiment.name,
            "seed": self._experiment.seed,
            "step": self.step,
            "epochs": self.step / self._plan.steps_per_epoch,
            "stopped_early": self.step < self._plan.total_steps,
            "parameters": state.count_parameters(self._state),
            "best_step": best and best[0],
            f"best_validation_{results['test'].measure}": best and best[1][0],
            "test_step": test_step,
            **{
                split: result.as_dict(self._dataset.class_names)
                for split, result in results.items()
            },
            "seconds": time.perf_counter() - self._began,
            "pace": self._pace.overall(),
            "versions": workdir.versions(),
        }
        self._log.close()
        if processes.is_first():
            for line in report.write(self._files, summary):
                self._console.message(line)
        return summary

    def _describe(self) -> None:
        examples = {"train": self._dataset.train, "validation": self._dataset.validation}
        sizes = ", ".join(f"{len(split):,} {name}" for name, split in examples.items())
        parameters = state.count_parameters(self._state)
        per_device = self._experiment.global_batch_size // self._program.mesh.shape["data"]
        for line in (
            f"work directory {self._files.home}",
            f"devices {mesh.describe(self._program.mesh, self._experiment.mesh.mode)}",
            f"data {self._dataset.name}: {sizes} examples, input shape {self._dataset.input_shape}"
            f", balance {self._experiment.data.balance}",
            f"model {self._experiment.model.name}: {parameters:,} parameters, state "
            f"{state.bytes_per_device(self._state) / 1e6:.1f} MB a device",
            f"batch {self._experiment.global_batch_size} global, {per_device} a device; "
            f"{self._plan.total_steps:,} steps, "
            f"{self._plan.total_steps / self._plan.steps_per_epoch:.3g} epochs",
        ):
            self._console.message(line)

    def _batch(self, step: int) -> dict[str, jax.Array]:
        return train_batch(
            self._dataset.train,
            self._experiment.global_batch_size,
            self._experiment.seed,
            step,
            self._program.batch_sharding,
        )

    def _advance(self, train_step: Callable) -> None:
        """Makes one step, and does what is due after it."""
        with self._pace.data():
            batch = self._batch(self.step)
        self._state, values = train_step(self._state, batch)
        self.step += 1
        self._in_flight.append(values)
        if len(self._in_flight) > STEPS_IN_FLIGHT:
            jax.block_until_ready(self._in_flight.popleft())
        logs = self._plan.logs_after(self.step)
        if logs:
            # The line of the interval before: its values are there by now, so
            # that fetching them does not stall the devices.
            self._write_metrics()
            self._unwritten = (self.step, values)
        evaluates = self._plan.evaluates_after(self.step)
        # The clock is looked at between lines of metrics alone: the processes of
        # a run must agree on what it says.
        saves = self._plan.checkpoints_after(self.step) or (
            logs and processes.decided(self._saving_is_overdue)
        )
        if evaluates or saves:
            self._write_metrics()
            with self._pace.pause():
                self._watch.check(values["first_nonfinite_step"])
                score = self._validate() if evaluates else None
                is_best = score is not None and (
                    self._best_score is None or score > self._best_score
                )
                if is_best:
                    self._best_step, self._best_score = self.step, score
                if saves or is_best or self._ended():
                    self._save(score if is_best else None)

    def _saving_is_overdue(self) -> bool:
        minutes = (time.monotonic() - self._saved_at) / 60
        return minutes >= self._experiment.checkpoint.every_minutes

    def _write_metrics(self) -> None:
        """Fetches and writes the line that is due, if one is."""
        if self._unwritten is None:
            return
        step, on_devices = self._unwritten
        self._unwritten = None
        values = jax.device_get(on_devices)
        self._watch.check(values["first_nonfinite_step"])
        line = {
            name: float(value) for name, value in values.items() if name != "first_nonfinite_step"
        }
        if line.get("skipped_steps", 0) > self._skipped:
            self._skipped = line["skipped_steps"]
            self._console.message(
                f"{self._skipped:.0f} steps up to step {step} were skipped: their loss or "
                "gradient was not finite"
            )
        self._write(step, "train", line)
        self._console.progress(step, self._plan.total_steps, line, self._pace.read())

    def _validate(self) -> Score:
        """Evaluates on validation, writes the lines, returns the score."""
        results = self._evaluate(self._dataset.validation, "validation")
        for split, result in results.items():
            self._write(self.step, split, result.values())
            self._console.message(
                f"step {self.step}/{self._plan.total_steps}  {split}  {result.text()}"
            )
        # Averaged parameters, where they are kept, are the ones to be used.
        chosen = list(results.values())[-1]
        return chosen.score

    def _evaluate(self, split: Split, name: str) -> dict[str, evaluation.Measured]:
        return evaluation.evaluate_with_average(
            self._program.eval_step,
            self._state,
            split,
            name,
            self._experiment.evaluation.global_batch_size,
            self._program.batch_sharding,
        )

    def _write(self, step: int, split: str, values: dict[str, float]) -> None:
        epoch = round(step / self._plan.steps_per_epoch, 4)
        self._log.write({"step": step, "epoch": epoch, "split": split, **values})

    def _save_unless_saved(self) -> None:
        self._write_metrics()
        if self.step and self._checkpoints.latest_step() != self.step:
            self._save(None)

    def _save(self, score: Score | None) -> None:
        self._watch.check_state(self._state)
        # Metrics first: a checkpoint must never know more than metrics.jsonl.
        self._log.flush()
        self._checkpoints.save(self.step, self._state, score)
        self._saved_at = time.monotonic()
