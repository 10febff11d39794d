"""From an experiment with a population to its replicas, each an experiment of its own."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from research.errors import UserError
from research.experiment import Experiment
from research.population.options import Population
from research.records import check, freeze, paths


def members(experiment: Experiment) -> list[Experiment]:
    """Returns the replicas: all seeds of the first combination, then of the next.

    Raises:
      UserError: if a swept field is none, or a value isn't allowed.
    """
    alone = dataclasses.replace(experiment, population=Population())
    numbers = {path for path, field in paths(alone) if field.type is float}
    result = []
    for point in experiment.population.points():
        if unknown := sorted(point.keys() - numbers):
            raise UserError(
                f"config.population.sweep: {unknown[0]!r} is no field that holds a number with "
                f"a fraction. Such fields are: {', '.join(sorted(numbers))}"
            )
        for seed in range(experiment.seed, experiment.seed + experiment.population.seeds):
            member = with_values(alone, {**point, "seed": seed})
            check(member)
            freeze(member)
            result.append(member)
    return result


def with_values(record: Any, values: Mapping[str, Any]) -> Any:
    """Returns a record with some fields, given by their paths, replaced."""
    here: dict[str, Any] = {}
    below: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        name, dot, rest = path.partition(".")
        if dot:
            below.setdefault(name, {})[rest] = value
        else:
            here[name] = value
    for name, inner in below.items():
        here[name] = with_values(getattr(record, name), inner)
    return dataclasses.replace(record, **here)
