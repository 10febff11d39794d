"""The rows of a CSV file as text, each with the line where it stands."""

import csv
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from research.errors import UserError, suggestion

DELIMITERS = (",", ";", "\t", "|")


@dataclasses.dataclass(frozen=True)
class Rows:
    """What a CSV file holds.

    Attributes:
      file: its path.
      names: of the columns, each another.
      lines: the line of each row, counted from 1; a row of several its last.
      cells: the text of each row's cells, without spaces around.
    """

    file: pathlib.Path
    names: tuple[str, ...]
    lines: Sequence[int]
    cells: Sequence[Sequence[str]]

    def column(self, name: str) -> list[str]:
        """Returns the cells of a column."""
        index = self.names.index(name)
        return [row[index] for row in self.cells]

    def error(self, row: int, name: str, message: str) -> UserError:
        """Returns an error that says where a cell stands and what is wrong with it."""
        return UserError(f"{self.file}, line {self.lines[row]}, column {name!r}: {message}")


def read_rows(file: pathlib.Path, delimiter: str) -> Rows:
    """Reads a CSV file (RFC 4180, UTF-8) whose first line names the columns.

    Empty lines are passed over.

    Raises:
      UserError: if it can't be read, the columns have no names of their own, or a
        row has more or fewer cells than there are columns, with its line.
    """
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, delimiter=delimiter, strict=True)
            return _read(file, _numbered(file, reader), delimiter)
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: is not text in UTF-8: {error}") from error
    except OSError as error:
        raise UserError(f"{file}: can't be read: {error.strerror}") from error


def _numbered(file: pathlib.Path, reader) -> Iterator[tuple[int, list[str]]]:
    """Yields (line, cells) of the rows that are not empty."""
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise UserError(f"{file}, line {reader.line_num}: {error}") from error


def _read(file: pathlib.Path, rows: Iterator[tuple[int, list[str]]], delimiter: str) -> Rows:
    line, names = next(rows, (1, []))
    _check_names(file, line, names, delimiter)
    lines, cells = [], []
    for line, row in rows:
        if len(row) != len(names):
            raise UserError(
                f"{file}, line {line}: has {len(row)} cells; the first line names {len(names)} "
                f"columns. After {row[min(len(row), len(names)) - 1]!r} the line goes wrong; a "
                'cell that holds the delimiter stands in quotes: "a, b"'
            )
        lines.append(line)
        cells.append(row)
    if not cells:
        raise UserError(f"{file}: holds no rows")
    return Rows(file, tuple(names), lines, cells)


def _check_names(file: pathlib.Path, line: int, names: Sequence[str], delimiter: str) -> None:
    if not names:
        raise UserError(f"{file}: is empty")
    where = f"{file}, line {line}"
    if len(names) == 1:
        others = [other for other in DELIMITERS if other in names[0] and other != delimiter]
        hint = f". Try --config.data.delimiter={others[0]!r}" if others else ""
        raise UserError(f"{where}: names one column alone, {names[0]!r}{hint}")
    if all(map(is_number, names)):
        raise UserError(f"{where}: holds numbers; the first line must name the columns")
    for index, name in enumerate(names):
        if not name:
            raise UserError(f"{where}: column {index + 1} has no name")
        if name in names[:index]:
            raise UserError(f"{where}: two columns are called {name!r}")


def is_number(text: str) -> bool:
    """Whether a cell holds a number, infinity included but not "nan"."""
    try:
        value = float(text)
    except ValueError:
        return False
    return value == value and "_" not in text


def check_known(names: Iterable[str], known: Sequence[str], path: str, file: pathlib.Path) -> None:
    """Raises `UserError` for a name that no column has, with the nearest one."""
    for name in names:
        if name not in known:
            raise UserError(
                f"{path}: {file} has no column {name!r}.{suggestion(name, known)}\n"
                f"Its columns: {', '.join(known)}"
            )
