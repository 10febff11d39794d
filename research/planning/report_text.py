"""A plan for the terminal."""

import shutil
import textwrap
from collections.abc import Sequence

from research.planning import rows
from research.planning.notes import notes
from research.planning.results import Plan
from research.planning.rows import Row, Table

_LABEL = 31


def render(plan: Plan, width: int | None = None) -> str:
    """Returns a plan as text.

    Args:
      plan: the plan.
      width: characters in a line; the terminal's unless given.
    """
    width = max(72, width or shutil.get_terminal_size((100, 24)).columns)
    title, subtitle = rows.headline(plan)
    parts = [title, subtitle]
    for block in _blocks(plan, width):
        parts += ["", *_same_columns(rows.slice_tables(block))]
    for table in (rows.scaling_table(plan), rows.message_table(plan)):
        if table.rows:
            parts += ["", *_free(table)]
    if sentences := notes(plan):
        parts += [
            "",
            "Notes",
            *(line for note in sentences for line in _wrapped(note, width, "· ")),
        ]
    parts += ["", "What the figures are"]
    for origin, meaning in rows.LEGEND.items():
        parts += _wrapped(meaning, width, f"{origin}  ")
    parts += [line for text in rows.ASSUMPTIONS for line in _wrapped(text, width, "·  ")]
    parts += ["", *_free(rows.chip_table(plan))]
    return "\n".join(line.rstrip() for line in parts)


def _blocks(plan: Plan, width: int):
    """Yields as many slices as a line has room for."""
    column = _column_width(rows.slice_tables(plan.slices))
    fitting = max(1, (width - _LABEL - 2) // column)
    for start in range(0, len(plan.slices), fitting):
        yield plan.slices[start : start + fitting]


def _column_width(tables: Sequence[Table]) -> int:
    return 2 + max(
        len(cell) for t in tables for cells in (t.columns, *(r.cells for r in t.rows))
        for cell in cells
    )  # fmt: skip


def _same_columns(tables: Sequence[Table]) -> list[str]:
    """Sets tables below each other, under one line of column names."""
    width = _column_width(tables)
    lines = [" " * (_LABEL + 2) + "".join(f"{name:>{width}}" for name in tables[0].columns)]
    for table in tables:
        lines.append(table.title)
        lines += [
            f"{_label(row)}{''.join(f'{c:>{width}}' for c in row.cells)}" for row in table.rows
        ]
    return lines


def _label(row: Row) -> str:
    return f"{'→ ' if row.is_result else '  '}{row.label:<{_LABEL - 2}}{row.origin or ' '} "


def _free(table: Table) -> list[str]:
    """Sets a table whose columns have widths of their own; the last may be long."""
    head = ("", *table.columns)
    body = [(row.label, *row.cells) for row in table.rows]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    lines = [table.title]
    for cells in (head, *body):
        words = [
            cell.ljust(width) if i == 0 or table.holds_words(i - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append("  " + "  ".join(words))
    return lines


def _wrapped(text: str, width: int, mark: str) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent="  " + mark,
        subsequent_indent="  " + " " * len(mark),
        break_on_hyphens=False,
    )
