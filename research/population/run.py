"""A run that trains a population: what it measures and reports, replica by replica."""

import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from research import evaluation, processes, report, state, workdir
from research.data.splits import Split
from research.divergence import Watch
from research.errors import UserError
from research.evaluation import SHOWN_AS, Measured
from research.experiment import Experiment, Timetable
from research.feeding import most_steps
from research.journal import Journal
from research.population.feed import PopulationFeed
from research.population.members import members
from research.population.program import make_population_program
from research.training import Run


class PopulationJournal(Journal):
    """One line of metrics for each replica; progress shows their mean."""

    def _write(self, step: int, values: Mapping[str, Any], split: str) -> None:
        columns = [np.atleast_1d(value).astype(float).tolist() for value in values.values()]
        for replica, line in enumerate(zip(*columns, strict=True)):
            super()._write(
                step, {"replica": replica, **dict(zip(values, line, strict=True))}, split
            )

    def _shown(self, values: Mapping[str, Any]) -> dict[str, float]:
        return {name: _mean(value) for name, value in values.items()}

    def validation(self, step: int, results: Mapping[str, list[Measured]]) -> None:
        for split, of_each in results.items():
            values = [result.values() for result in of_each]
            columns = {name: [each[name] for each in values] for name in values[0]}
            self._write(step, columns, split)
            spread = "  ".join(f"{SHOWN_AS[name]} {_spread(c)}" for name, c in columns.items())
            self._console.message(f"step {step}/{self._plan.total_steps}  {split}  {spread}")


class Bystander(Watch):
    """Lets a replica diverge: it harms no other, and the summary says so."""

    def check(self, first_nonfinite_step: int) -> None:
        pass

    def check_state(self, state: Any) -> None:
        pass


class PopulationRun(Run):
    """Trains all replicas of an experiment at once."""

    make_program = staticmethod(make_population_program)
    journal_type = PopulationJournal
    watch_type = Bystander

    @staticmethod
    def open_feed(experiment: Experiment, plan: Timetable, split: Split, mesh) -> PopulationFeed:
        """Returns the feed of all replicas.

        Raises:
          UserError: if their data is to be streamed.
        """
        if experiment.feeding.source == "streamed":
            raise UserError("config.feeding.source: the data of a population is always resident")
        seeds = [member.seed for member in members(experiment)]
        most = most_steps(experiment, plan)
        return PopulationFeed(split, experiment.global_batch_size, seeds, mesh, most)

    def finish(self) -> dict[str, Any]:
        """Measures all replicas, writes the summary and draws the curves."""
        self._checkpoints.wait()
        splits = {"validation": self._dataset.validation, "test": self._dataset.read_test()}
        results = {}
        for name, split in splits.items():
            results |= self._evaluate(split, name)
        diverged = jax.device_get(self._state.first_nonfinite_step)
        points = self._experiment.population.points()
        replicas = [
            {
                "replica": index,
                "seed": member.seed,
                **points[index // self._experiment.population.seeds],
                "first_nonfinite_step": int(diverged[index]) or None,
                **{name: of_each[index].values() for name, of_each in results.items()},
            }
            for index, member in enumerate(members(self._experiment))
        ]
        sound = [each for each in range(len(replicas)) if not diverged[each]]
        # By validation: what is chosen by test says nothing of other data.
        best = max(sound, key=lambda each: results["validation"][each].score, default=None)
        measure = results["test"][0].measure
        of_test = [result.values()[measure] for result in results["test"]]
        summary = {
            "experiment": self._experiment.name,
            "step": self.step,
            "epochs": self.step / self._plan.steps_per_epoch,
            "parameters": state.count_parameters(self._state) // len(replicas),
            "replicas": replicas,
            "best_replica": best,
            f"test_{measure}": {"mean": _mean(of_test), "sd": _sd(of_test)},
            "combinations": _combinations(self._experiment, of_test, measure),
            "seconds": time.perf_counter() - self._began,
            "pace": self._pace.overall(),
            "versions": workdir.versions(),
        }
        self._say(summary, measure)
        self._journal.close()
        if processes.is_first():
            title = f"{summary['experiment']}: test {SHOWN_AS[measure]} {_spread(of_test)}"
            for line in report.write(self._files, summary, title):
                self._console.message(line)
        return summary

    def _validate(self) -> None:
        self._journal.validation(self.step, self._evaluate(self._dataset.validation, "validation"))

    def _evaluate(self, split: Split, name: str) -> dict[str, list[Measured]]:
        fetched = jax.device_get(self._state.normalization)
        of_all = jax.tree.map(lambda statistic: statistic[0], fetched)
        results = {}
        for key, each in evaluation.with_average(self._state, name).items():
            sums = evaluation.sums_over(
                self._program.eval_step,
                each,
                split,
                self._experiment.evaluation.global_batch_size,
                self._program.batch_sharding,
            )
            results[key] = [
                evaluation.measured({n: v[replica] for n, v in sums.items()}, split, of_all)
                for replica in range(self._experiment.population.size)
            ]
        return results

    def _say(self, summary: Mapping[str, Any], measure: str) -> None:
        for each in summary["combinations"]:
            values = "".join(f"{path} {value:g}, " for path, value in each["values"].items())
            found = each[f"test_{measure}"]
            self._console.message(
                f"{values}{self._experiment.population.seeds} seeds: test {SHOWN_AS[measure]} "
                f"{found['mean']:.4f} ± {found['sd']:.4f}"
            )
        if lost := [e["replica"] for e in summary["replicas"] if e["first_nonfinite_step"]]:
            self._console.message(f"diverged: replicas {', '.join(map(str, lost))}")
        if (best := summary["best_replica"]) is not None:
            self._console.message(
                f"best on validation: replica {best}, test {SHOWN_AS[measure]} "
                f"{summary['replicas'][best]['test'][measure]:.4f}. It goes on alone after\n"
                f"  python -m launch.replica --workdir={self._files.home} --replica={best} --to=DIR"
            )


def _combinations(
    experiment: Experiment, of_test: list[float], measure: str
) -> list[dict[str, Any]]:
    """Returns mean and standard deviation over the seeds of each combination."""
    by_point = np.reshape(of_test, (-1, experiment.population.seeds))
    return [
        {"values": point, f"test_{measure}": {"mean": _mean(row), "sd": _sd(row)}}
        for point, row in zip(experiment.population.points(), by_point, strict=True)
    ]


def _mean(values: Any) -> float:
    return float(np.mean(values))


def _sd(values: Any) -> float:
    """Returns the standard deviation of a sample; 0 of one value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _spread(values: Any) -> str:
    return f"{_mean(values):.4f} ± {_sd(values):.4f}"
