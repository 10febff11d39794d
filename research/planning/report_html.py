"""A plan as one HTML page that needs nothing else."""

import html
import io
from collections.abc import Sequence

from research import pages
from research.planning import report_figure, rows
from research.planning.notes import notes
from research.planning.results import Plan
from research.planning.rows import Row, Table

_STYLE = """
td.origin { color: var(--soft); text-align: center; width: 1%; }
tr.result td { font-weight: 650; background: var(--band); }
tr.section td { font-weight: 650; padding-top: 20px; border-bottom-color: var(--ink); }
.sign { display: inline-block; width: 22px; color: var(--soft); font-weight: 650; }
"""


def render(plan: Plan) -> str:
    """Returns a plan as an HTML page."""
    title, subtitle = rows.headline(plan)
    body = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="subtitle">{html.escape(subtitle)}</p>',
        f"<figure>{report_figure.svg(plan)}</figure>",
        _sections(rows.slice_tables(plan.slices)),
    ]
    for table in (rows.scaling_table(plan), rows.message_table(plan)):
        if table.rows:
            body.append(_table(table))
    if sentences := notes(plan):
        body.append(_list("Notes", sentences))
    meanings = "".join(
        f'<p><span class="sign">{origin}</span>{html.escape(meaning)}</p>'
        for origin, meaning in rows.LEGEND.items()
    )
    body += [
        f"<h2>What the figures are</h2>{meanings}",
        _list("Assumptions", rows.ASSUMPTIONS),
        _table(rows.chip_table(plan)),
        f"<footer>{html.escape(_versions(plan))}</footer>",
    ]
    return pages.page(title, _STYLE, "".join(body))


def _versions(plan: Plan) -> str:
    return ", ".join(f"{name} {version}" for name, version in plan.versions.items())


def _sections(tables: Sequence[Table]) -> str:
    """Sets tables with the same columns as sections of one."""
    columns = tables[0].columns
    out = io.StringIO()
    out.write('<h2>Slices</h2><div class="scroll"><table><tr><th></th><th></th>')
    out.write("".join(f"<th>{html.escape(name)}</th>" for name in columns) + "</tr>")
    for table in tables:
        out.write(f'<tr class="section"><td colspan="{len(columns) + 2}">')
        out.write(f"{html.escape(table.title)}</td></tr>")
        out.write("".join(_row(row) for row in table.rows))
    out.write("</table></div>")
    return out.getvalue()


def _table(table: Table) -> str:
    words = [table.holds_words(column) for column in range(len(table.columns))]
    names = zip(table.columns, words, strict=True)
    head = "<th></th>" + "".join(f"<th{_side(w)}>{html.escape(name)}</th>" for name, w in names)
    body = "".join(_row(row, words) for row in table.rows)
    return (
        f"<h2>{_linked(table.title)}</h2>"
        f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'
    )


def _row(row: Row, words: Sequence[bool] | None = None) -> str:
    """Returns a line of a table: of words and numbers, or of slices and their origin."""
    origin = f'<td class="origin">{row.origin}</td>' if words is None else ""
    sides = map(_side, words) if words else map(_mood, row.cells)
    cells = "".join(
        f"<td{side}>{_linked(cell)}</td>" for cell, side in zip(row.cells, sides, strict=True)
    )
    kind = ' class="result"' if row.is_result else ""
    return f"<tr{kind}><td>{html.escape(row.label)}</td>{origin}{cells}</tr>"


def _side(is_words: bool) -> str:
    return ' class="words"' if is_words else ""


def _mood(cell: str) -> str:
    if cell == "fits":
        return ' class="good"'
    return ' class="bad"' if cell.startswith(("does not", "cannot")) else ""


def _linked(text: str) -> str:
    """Escapes a text; an address in it becomes a link."""
    words = []
    for word in text.split(" "):
        address = word.strip("()")
        shown = html.escape(word)
        if address.startswith("https://"):
            link = html.escape(address, quote=True)
            shown = shown.replace(
                html.escape(address), f'<a href="{link}">{html.escape(address[8:])}</a>'
            )
        words.append(shown)
    return " ".join(words)


def _list(title: str, items: Sequence[str]) -> str:
    lines = "".join(f"<li>{html.escape(item)}</li>" for item in items)
    return f"<h2>{title}</h2><ul>{lines}</ul>"
