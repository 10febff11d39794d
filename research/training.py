"""The loop: the one place where steps, data, checkpoints and metrics meet."""

import collections
import contextlib
import dataclasses
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from research import evaluation, mesh, processes, report, state, warm_start, workdir
from research.checkpoints import Checkpoints, Score
from research.console import Console
from research.data.splits import Dataset, Split, open_dataset
from research.divergence import Watch
from research.experiment import Experiment, Timetable, timetable
from research.feeding import open_feed
from research.journal import Journal
from research.pace import Pace
from research.program import Program, compile_train_steps, make_program

SECONDS_AT_ONCE = 0.2
"""How long the devices work on their own, about: a word with the host costs a small
part of it, and a stop is heeded soon."""

DISPATCHES_IN_FLIGHT = 1
"""How many of them may wait behind the one at work, so that the devices never wait.
(Simulated devices of several processes deadlock when much more is queued.)"""


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
    kind: "type[Run] | None" = None,
) -> Outcome:
    """Trains an experiment in a work directory, from the newest checkpoint there.

    A run that was stopped and resumed, however often, ends with the same
    parameters, optimizer state, averages and metrics as one that was not, bit
    for bit on the same machine.

    Args:
      experiment: a checked and frozen experiment.
      path: the work directory; created if it isn't there.
      console: where progress is shown.
      kind: what trains it, `Run` unless given.
      stop_requested: asked about every fifth of a second, between two steps; a
        reason such as "SIGTERM" makes the run save its state and return.

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
        kind = kind or Run
        program = kind.make_program(experiment, plan, dataset)
        given = {path: v.tolist() for path, v in experiment.model.from_data(dataset).items()}
        processes.check_same("what the model takes from the data", given)
        if experiment.init_from and not processes.decided(files.experiment.exists):
            warm_start.choose(program.state_shapes, experiment, dataset.input_shape)
        processes.decided(lambda: workdir.claim(files, experiment, dataset.fingerprint))
        checkpoints = Checkpoints(
            files.checkpoints,
            keep=experiment.checkpoint.keep,
            about=workdir.provenance(experiment, mesh.describe(program.mesh, experiment.mesh.mode)),
        )
        stack.callback(checkpoints.close)
        run = kind(experiment, plan, program, dataset, files, checkpoints, console)
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

    make_program = staticmethod(make_program)
    open_feed = staticmethod(open_feed)
    journal_type = Journal
    watch_type = Watch

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
        self._began = time.perf_counter()
        self._pace = Pace(experiment.global_batch_size)
        self._in_flight: collections.deque[_Dispatch] = collections.deque()
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
        self._feed = self.open_feed(experiment, plan, dataset.train, program.mesh)
        self._watch = self.watch_type(experiment, program, files, checkpoints)
        self._journal = self.journal_type(
            plan, self._watch, files, console, self.step, experiment.logging.tensorboard
        )

    def train(self, stops: Callable[[], str]) -> str:
        """Trains to the end or until asked to stop; returns why it stopped, or ""."""
        self._describe()
        if self._ended():
            self._console.message("this run is finished; measuring and reporting once more")
            return ""
        if reason := stops():
            return reason
        ahead = self._take()
        compiled = compile_train_steps(self._program, self._feed, ahead.source)
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
                    if reason := stops():
                        self._save_unless_saved()
                        self._checkpoints.wait()
                        return reason
                    ahead = self._advance(compiled.call, ahead)
        finally:
            self._console.stop()
            self._journal.flush()
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
        self._journal.close()
        if processes.is_first():
            measured = results["test"]
            title = f"{summary['experiment']}: test {measured.headline()}"
            for line in report.write(self._files, summary, title):
                self._console.message(line)
        return summary

    def _describe(self) -> None:
        examples = {"train": self._dataset.train, "validation": self._dataset.validation}
        sizes = ", ".join(f"{len(split):,} {name}" for name, split in examples.items())
        parameters = state.count_parameters(self._state)
        per_device = self._experiment.global_batch_size // self._program.mesh.shape.get("data", 1)
        for line in (
            f"work directory {self._files.home}",
            f"devices {mesh.describe(self._program.mesh, self._experiment.mesh.mode)}",
            f"data {self._dataset.name}: {sizes} examples, input shape {self._dataset.input_shape}"
            f", balance {self._experiment.data.balance}; {self._feed.description}",
            f"model {self._experiment.model.name}: {parameters:,} parameters, state "
            f"{state.bytes_per_device(self._state) / 1e6:.1f} MB a device",
            f"batch {self._experiment.global_batch_size} global, {per_device} a device; "
            f"{self._plan.total_steps:,} steps, "
            f"{self._plan.total_steps / self._plan.steps_per_epoch:.3g} epochs",
        ):
            self._console.message(line)

    def _take(self) -> "_Ahead":
        """Gets the data of the next steps on its way to the devices."""
        at_once = self._experiment.feeding.steps_at_once
        steps = min(
            self._feed.capacity,
            self._plan.steps_until_pause(self.step),
            at_once or processes.decided(lambda: self._pace.steps_within(SECONDS_AT_ONCE)),
        )
        with self._pace.data(lambda: not self._in_flight or self._in_flight[-1].is_made()):
            return _Ahead(steps, self._feed.take(self.step, steps))

    def _advance(self, train_steps: Callable, ahead: "_Ahead") -> "_Ahead | None":
        """Makes some steps, does what is due after them, and returns what the next need."""
        self._state, values = train_steps(self._state, ahead.source)
        self._in_flight.append(_Dispatch(self.step, ahead.steps, values))
        self.step += ahead.steps
        following = self._take() if self.step < self._plan.total_steps else None
        evaluates = self._plan.evaluates_after(self.step)
        # The processes of a run must agree on what the clock says.
        saves = self._plan.checkpoints_after(self.step) or processes.decided(
            self._saving_is_overdue
        )
        if not evaluates and not saves:
            self._settle(DISPATCHES_IN_FLIGHT)
            return following
        self._settle()
        with self._pace.pause():
            score = self._validate() if evaluates else None
            is_best = score is not None and (self._best_score is None or score > self._best_score)
            if is_best:
                self._best_step, self._best_score = self.step, score
            if saves or is_best or self._ended():
                self._save(score if is_best else None)
        return following

    def _settle(self, in_flight: int = 0) -> None:
        """Waits until no more dispatches than that are in flight; reports the others."""
        while len(self._in_flight) > in_flight:
            dispatch = self._in_flight.popleft()
            processes.computed(dispatch.values)
            self._pace.made(dispatch.steps)
            self._journal.training(
                dispatch.begun, dispatch.steps, dispatch.values, self._pace.read()
            )

    def _saving_is_overdue(self) -> bool:
        minutes = (time.monotonic() - self._saved_at) / 60
        return minutes >= self._experiment.checkpoint.every_minutes

    def _validate(self) -> Score:
        """Evaluates on validation, reports it, returns the score."""
        results = self._evaluate(self._dataset.validation, "validation")
        self._journal.validation(self.step, results)
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

    def _save_unless_saved(self) -> None:
        self._settle()
        if self.step and self._checkpoints.latest_step() != self.step:
            self._save(None)

    def _save(self, score: Score | None) -> None:
        self._watch.check_state(self._state)
        # Metrics first: a checkpoint must never know more than metrics.jsonl.
        self._journal.flush()
        self._checkpoints.save(self.step, self._state, score)
        if self._experiment.checkpoint.wait:
            self._checkpoints.wait()
        self._saved_at = time.monotonic()


class _Ahead(NamedTuple):
    """Steps to come, and their data on its way to the devices."""

    steps: int
    source: Any


class _Dispatch(NamedTuple):
    """Steps that the devices were told to make after step `begun`."""

    begun: int
    steps: int
    values: dict[str, jax.Array]

    def is_made(self) -> bool:
        return all(value.is_ready() for value in self.values.values())
