"""Tables of what was measured: as text, as JSON, as a figure."""

import importlib.metadata
import pathlib
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.harness import Measured


class Table(NamedTuple):
    """Contenders that did the same.

    Attributes:
      title: says what they did.
      unit: that of the figures.
      found: what was measured of each.
      beside: part of the names of those with which all are compared; "" compares none.
      less_is_better: whether figures are times, not rates.
      with_memory: whether memory is of interest.
    """

    title: str
    unit: str
    found: dict[str, Measured]
    beside: str = ""
    less_is_better: bool = False
    with_memory: bool = False

    def advantage(self, name: str) -> float | None:
        """Returns how many times as fast one is as the fastest of those compared with."""
        others = [m.median for n, m in self.found.items() if self.beside in n and not m.failed]
        if not self.beside or not others:
            return None
        median = self.found[name].median
        return min(others) / median if self.less_is_better else median / max(others)

    def text(self) -> str:
        """Returns it in Markdown."""
        heads = ["", self.unit, "least to most"]
        heads += [f"times as fast as {self.beside}"] if self.beside else []
        heads += ["peak memory"] if self.with_memory else []
        lines = [f"\n{self.title}\n", _line(heads), "|---" * len(heads) + "|"]
        for name, measured in self.found.items():
            if measured.failed:
                why = "not there" if measured.absent else "failed"
                lines.append(_line([name, f"{why}: {measured.failed}", *[""] * (len(heads) - 2)]))
                continue
            least, most = min(measured.figures), max(measured.figures)
            cells = [name, _number(measured.median), f"{_number(least)} to {_number(most)}"]
            if self.beside:
                ratio = self.advantage(name)
                cells.append("" if ratio is None else f"{ratio:.2f}")
            cells += [f"{measured.peak_bytes / 1e6:,.0f} MB"] if self.with_memory else []
            lines.append(_line(cells))
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """Returns JSON values."""
        contenders = {
            name: {**measured._asdict(), "median": measured.median, "ratio": self.advantage(name)}
            if not measured.failed
            else measured._asdict()
            for name, measured in self.found.items()
        }
        return {"title": self.title, "unit": self.unit, "contenders": contenders}


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    """Returns a number with three digits or all that stand before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def circumstances() -> dict[str, Any]:
    """Returns the machine and the versions of all that took part."""
    from research.mesh import hardware
    from research.workdir import versions

    found = versions()
    for package in ("torch", "keras", "tensorflow", "tensorflow-cpu", "pillow", "imagecodecs"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"machine": hardware(), "versions": found}


def draw(tables: Sequence[Table], path: pathlib.Path, columns: int = 3) -> None:
    """Draws a bar for each contender, with the range of its turns."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(columns, len(tables))
    rows = -(-len(tables) // columns)
    figure = Figure(figsize=(5.5 * columns, 2.8 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(tables) :]:
        axes.remove()
    for axes, table in zip(grid, tables, strict=False):
        sound = {name: measured for name, measured in table.found.items() if not measured.failed}
        medians = [measured.median for measured in sound.values()]
        spread = [
            [measured.median - min(measured.figures) for measured in sound.values()],
            [max(measured.figures) - measured.median for measured in sound.values()],
        ]
        colors = ["C0" if name.startswith("hanok") else "0.7" for name in sound]
        axes.barh(list(sound), medians, xerr=spread, color=colors)
        axes.invert_yaxis()
        axes.set_xlabel(table.unit)
        axes.set_title(textwrap.fill(table.title, 44), fontsize=9)
    figure.savefig(path, dpi=120)
