"""Which replicas a population has: seeds, and values of numbers that are swept."""

import itertools
import math
import re
from typing import NamedTuple

from research.errors import UserError
from research.records import Record, record, require


@record
class Population(Record):
    """Replicas of the experiment that are trained at once, as one program."""

    seeds: int = 1
    """How many seeds there are of each, from the experiment's on."""

    sweep: str = ""
    """Numbers that differ between replicas, such as
    "optimizer.learning_rate=log(1e-4,1e-1,8)" (also lin(FROM,TO,COUNT) or values
    apart by commas); several are apart by semicolons, and all are combined."""

    at_once: int = 0
    """How many replicas a device trains at a time, at most; the others follow. 0: all of
    them, on a CPU those whose state fits a core's cache."""

    @property
    def size(self) -> int:
        """How many replicas there are."""
        return self.seeds * math.prod(len(axis.values) for axis in parse_sweep(self.sweep))

    def points(self) -> list[dict[str, float]]:
        """Returns the swept values of each combination, by the field's path."""
        axes = parse_sweep(self.sweep)
        combined = itertools.product(*(axis.values for axis in axes))
        return [dict(zip([axis.path for axis in axes], each, strict=True)) for each in combined]

    def validate(self, path):
        require(self.seeds >= 1, f"{path}.seeds", "must be at least 1")
        require(self.at_once >= 0, f"{path}.at_once", "must be at least 0")
        parse_sweep(self.sweep, f"{path}.sweep")


class Axis(NamedTuple):
    """A field that is swept, and its values."""

    path: str
    values: tuple[float, ...]


_RANGE = re.compile(r"(log|lin)\(([^,()]+),([^,()]+),([^,()]+)\)")


def parse_sweep(text: str, field: str = "config.population.sweep") -> list[Axis]:
    """Returns the axes of a sweep; [] of "".

    Raises:
      UserError: if it can't be read.
    """
    axes = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        path, equals, given = (piece.strip() for piece in part.partition("="))
        path = path.removeprefix("config.")
        require(bool(path and equals), field, f"gives no FIELD=VALUES: {part!r}")
        require(path not in (axis.path for axis in axes), field, f"sweeps {path} twice")
        try:
            axes.append(Axis(path, _values(given)))
        except ValueError as error:
            raise UserError(
                f"{field}: {part!r} is none of FIELD=log(FROM,TO,COUNT), "
                f"FIELD=lin(FROM,TO,COUNT) and FIELD=VALUE,VALUE,…: {error}"
            ) from error
    return axes


def _values(given: str) -> tuple[float, ...]:
    if not (match := _RANGE.fullmatch(given)):
        return tuple(float(value) for value in given.split(","))
    kind, first, last, count = match.groups()
    first, last, count = float(first), float(last), int(count)
    if count < 2:
        raise ValueError(f"a range has at least 2 values, not {count}")
    shares = [index / (count - 1) for index in range(count)]
    if kind == "lin":
        return tuple(first + share * (last - first) for share in shares)
    if min(first, last) <= 0:
        raise ValueError("the bounds of log must be positive")
    # Nine digits: values that people can read and give again.
    return tuple(float(f"{first * (last / first) ** share:.9g}") for share in shares)
