"""A CSV file: numbers and categories in columns, one of which is the label."""

import functools
import pathlib
from typing import TYPE_CHECKING

from research.data.base import Source, Table
from research.errors import UserError
from research.records import record, require

if TYPE_CHECKING:
    from research.data.base import Examples
    from research.data.columns import Columns
    from research.data.rows import Rows


@record
class Csv(Table):
    """Rows of a file whose first line names the columns.

    Columns of numbers are standardised by the statistics of train; each category
    of the others becomes a column of 0 and 1 (one-hot).
    """

    name: str = "csv"

    path: str = ""
    """The file, or a folder that holds train.csv, and where there are any
    validation.csv and test.csv."""

    label: str = "label"
    """The column that holds the class, or the number to be predicted."""

    regression: bool = False
    """Whether the label is a number to be predicted, not a class; train with
    `loss.name=mse`."""

    categorical: tuple[str, ...] = ()
    """Columns of categories that look like numbers, such as ('zip_code',)."""

    ignored: tuple[str, ...] = ()
    """Columns to leave out, such as ('id',)."""

    delimiter: str = ","
    """What stands between two cells."""

    def open(self):
        from research.data.columns import learn_columns

        files = self._files()
        # Which classes and categories there are, train alone decides.
        train = self._read(files.pop("train"))
        columns = learn_columns(train, self.label, self.categorical, self.ignored, self.regression)
        return Source(
            class_names=columns.class_names,
            splits={
                "train": functools.partial(_encoded, columns, train),
                **{name: functools.partial(self._encode, columns, files[name]) for name in files},
            },
            categories=columns.categories,
        )

    def _files(self) -> dict[str, pathlib.Path]:
        path = pathlib.Path(self.path).expanduser()
        if path.is_dir():
            files = {name: path / f"{name}.csv" for name in ("train", "validation", "test")}
            files = {name: file for name, file in files.items() if file.is_file()}
        else:
            files = {"train": path} if path.is_file() else {}
        if "train" not in files:
            raise UserError(
                f"config.data.path: no file {path / 'train.csv' if path.is_dir() else path}. Give "
                "a CSV file, or a folder that holds train.csv, with --config.data.path=…"
            )
        return files

    def _read(self, file: pathlib.Path) -> "Rows":
        from research.data.rows import read_rows

        return read_rows(file, self.delimiter)

    def _encode(self, columns: "Columns", file: pathlib.Path) -> "Examples":
        return _encoded(columns, self._read(file))

    def validate(self, path):
        super().validate(path)
        require(bool(self.path), f"{path}.path", "give the CSV file")
        require(bool(self.label), f"{path}.label", "give the name of the column")
        require(
            len(self.delimiter) == 1 and self.delimiter not in '"\r\n ',
            f"{path}.delimiter",
            f"takes one character such as ',' or ';', not {self.delimiter!r}",
        )
        for name in ("balance", "classes", "class_fractions") if self.regression else ():
            require(
                getattr(self, name) == getattr(Csv, name),
                f"{path}.{name}",
                "is about classes; with config.data.regression there are none",
            )
        require(
            self.label not in (*self.categorical, *self.ignored),
            f"{path}.label",
            f"{self.label!r} stands among the columns that are ignored or inputs, too",
        )


def _encoded(columns: "Columns", rows: "Rows") -> "Examples":
    from research.data.arrays import examples

    return examples(columns.inputs(rows), columns.labels(rows))
