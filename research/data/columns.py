"""From the text of a table's cells to numbers: standardisable columns and labels."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from research.data.rows import Rows, check_known, is_number
from research.errors import UserError, shortened, suggestion

MISSING = ("", "?", "na", "n/a", "nan", "null")
"""What stands for a value that isn't there, in capitals or not."""

FEW = 20
"""So many categories a column may have, however few rows there are."""

_TO_PREDICT = "To predict numbers, give --config.data.regression --config.loss.name=mse"


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of inputs.

    Attributes:
      name: its name.
      levels: its categories; () for a column of numbers.
    """

    name: str
    levels: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """How many inputs it becomes."""
        return len(self.levels) or 1


@dataclasses.dataclass(frozen=True)
class Columns:
    """How the cells of a table become inputs and labels.

    Attributes:
      label: name of the column that holds the class or the number to be predicted.
      class_names: the classes, those that are numbers in their order; () where
        numbers are to be predicted.
      columns: the others that count.
      ignored: names of those that don't.
    """

    label: str
    class_names: tuple[str, ...]
    columns: tuple[Column, ...]
    ignored: tuple[str, ...]

    @property
    def categories(self) -> tuple[range, ...]:
        """The inputs that hold one category each, one-hot."""
        ends = np.cumsum([column.width for column in self.columns])
        return tuple(
            range(end - column.width, end)
            for end, column in zip(ends.tolist(), self.columns, strict=True)
            if column.levels
        )

    def inputs(self, rows: Rows) -> np.ndarray:
        """Returns the rows as numbers, float32 [rows, inputs].

        Raises:
          UserError: with file, line and column of a cell that is missing, no
            number or no category of train's.
        """
        names = [column.name for column in self.columns]
        known = (self.label, *names, *self.ignored)
        check_known((self.label, *names), rows.names, "config.data.path", rows.file)
        for name in rows.names:
            if name not in known:
                raise UserError(f"{rows.file}: train has no column {name!r}")
        parts = [
            _one_hot(rows, column) if column.levels else _numbers(rows, column.name)
            for column in self.columns
        ]
        return np.concatenate(parts, axis=1)

    def labels(self, rows: Rows) -> np.ndarray:
        """Returns the classes of the rows, int32 [rows], or their numbers, float32."""
        if not self.class_names:
            return _numbers(rows, self.label, "numbers are to be predicted")[:, 0]
        return _positions(rows, self.label, self.class_names, "class").astype(np.int32)


def learn_columns(
    train: Rows,
    label: str,
    categorical: Sequence[str],
    ignored: Sequence[str],
    regression: bool = False,
) -> Columns:
    """Decides from the rows of train which columns hold numbers and which categories.

    A column holds numbers if all its cells do, and categories if none does or its
    name stands in `categorical`. The label is a number if `regression` says so.

    Raises:
      UserError: if a column isn't there, holds both, or holds a different text in
        most rows; if a value is missing; if there are no classes to tell apart.
    """
    check_known([label], train.names, "config.data.label", train.file)
    check_known(categorical, train.names, "config.data.categorical", train.file)
    check_known(ignored, train.names, "config.data.ignored", train.file)
    names = [name for name in train.names if name not in (label, *ignored)]
    if not names:
        raise UserError(f"{train.file}: no column but the label is left")
    _check_nothing_missing(train, [label, *names], categorical)
    columns = tuple(Column(name, _levels(train, name, name in categorical)) for name in names)
    classes = () if regression else _classes(train, label)
    return Columns(label, classes, columns, tuple(ignored))


def _classes(train: Rows, label: str) -> tuple[str, ...]:
    cells = train.column(label)
    names = sorted(set(cells))
    if not all(map(is_number, names)):
        return tuple(names)
    names.sort(key=float)
    for one, other in zip(names, names[1:], strict=False):
        if float(one) == float(other):
            raise train.error(
                cells.index(other), label, f"{one!r} and {other!r} are the same number; write one"
            )
    fraction = next((name for name in names if float(name) % 1), None)
    if fraction is not None:
        raise train.error(
            cells.index(fraction),
            label,
            f"{fraction!r} is a number with a fraction, no class. {_TO_PREDICT}",
        )
    if len(names) > max(FEW, len(cells) / 3):
        raise UserError(
            f"{train.file}, column {label!r}: holds {len(names)} different numbers in "
            f"{len(cells)} rows, too many for classes. {_TO_PREDICT}"
        )
    return tuple(names)


def _levels(train: Rows, name: str, categorical: bool) -> tuple[str, ...]:
    cells = train.column(name)
    levels = tuple(sorted(set(cells)))
    if not categorical:
        numbers = [is_number(cell) for cell in cells]
        if all(numbers):
            return ()
        if any(numbers):
            many = 2 * sum(numbers) >= len(numbers)
            row = numbers.index(not many)
            kinds = ("is no number", "are") if many else ("is a number", "are not")
            raise train.error(
                row,
                name,
                f"{cells[row]!r} {kinds[0]}, and {numbers.count(many)} of {len(cells)} {kinds[1]}. "
                f"Mend it, or, if the column holds categories, give "
                f"--config.data.categorical=\"('{name}',)\"",
            )
    if len(levels) > max(FEW, len(cells) / 2):
        raise UserError(
            f"{train.file}, column {name!r}: holds {len(levels)} different texts in {len(cells)} "
            f"rows, too many for categories. Leave it out with "
            f"--config.data.ignored=\"('{name}',)\""
        )
    return levels


def _check_nothing_missing(rows: Rows, names: Sequence[str], categorical: Sequence[str]) -> None:
    found = {}
    for name in names:
        # A category may well be called NA.
        signs = MISSING[:1] if name in categorical else MISSING
        missing = [row for row, cell in enumerate(rows.column(name)) if cell.lower() in signs]
        if missing:
            found[name] = missing
    if not found:
        return
    row, name = min((missing[0], name) for name, missing in found.items())
    value = rows.cells[row][rows.names.index(name)]
    counts = shortened(
        (f"{name} {len(missing)}" for name, missing in found.items()), separator=", "
    )
    raise rows.error(
        row,
        name,
        f"the value is missing ({value!r}). Missing by column: {counts}. Fill them in, remove "
        "these rows, or leave columns out with --config.data.ignored",
    )


def _numbers(rows: Rows, name: str, why: str = "train has numbers there") -> np.ndarray:
    cells = rows.column(name)
    _check_nothing_missing(rows, [name], ())
    for row, cell in enumerate(cells):
        if not is_number(cell):
            raise rows.error(row, name, f"{cell!r} is no number; {why}")
    exact = np.array(cells, np.float64)
    with np.errstate(over="ignore"):
        values = exact.astype(np.float32)
    for row in np.flatnonzero(~np.isfinite(values))[:1]:
        raise rows.error(row, name, f"{cells[row]!r} is too large for a float32")
    if len(np.unique(exact)) > 2 * len(np.unique(values)):
        raise UserError(
            f"{rows.file}, column {name!r}: as float32 most of its values, such as {cells[0]}, "
            "can't be told apart; subtract what they have in common"
        )
    return values[:, np.newaxis]


def _one_hot(rows: Rows, column: Column) -> np.ndarray:
    positions = _positions(rows, column.name, column.levels, "category")
    return np.eye(len(column.levels), dtype=np.float32)[positions]


def _positions(rows: Rows, name: str, known: Sequence[str], kind: str) -> np.ndarray:
    """Returns where each cell of a column stands in what is known, int64 [rows]."""
    places = {level: place for place, level in enumerate(known)}
    cells = rows.column(name)
    for row, cell in enumerate(cells):
        if cell not in places:
            raise rows.error(row, name, f"train has no {kind} {cell!r}.{suggestion(cell, known)}")
    return np.array([places[cell] for cell in cells], np.int64)
