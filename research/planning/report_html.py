"""A plan as one HTML page that needs nothing else."""

import html
import io
from collections.abc import Sequence

from research.planning import report_figure, rows
from research.planning.notes import notes
from research.planning.results import Plan
from research.planning.rows import Row, Table

_STYLE = """
:root { color-scheme: light; --ink: #1d2733; --soft: #5b6b7c; --line: #dfe5ec; --band: #f5f7fa; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 32px 24px 64px; color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 26px; margin: 0; }
h2 { font-size: 17px; margin: 36px 0 10px; }
.subtitle { color: var(--soft); margin: 4px 0 20px; }
figure { margin: 0; }
figure svg { width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { color: var(--soft); font-weight: 600; font-size: 13px; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th.words, td.words { text-align: left; }
td.origin { color: var(--soft); text-align: center; width: 1%; }
tr.result td { font-weight: 650; background: var(--band); }
tr.section td { font-weight: 650; padding-top: 20px; border-bottom-color: var(--ink); }
.sign { display: inline-block; width: 22px; color: var(--soft); font-weight: 650; }
ul { padding-left: 20px; margin: 6px 0; } li { margin: 3px 0; }
.good { color: #19703f; } .bad { color: #b3261e; }
a { color: inherit; }
footer { color: var(--soft); font-size: 13px; margin-top: 40px; }
"""


def render(plan: Plan) -> str:
    """Returns a plan as an HTML page."""
    title, subtitle = map(html.escape, rows.headline(plan))
    body = [
        f"<h1>{title}</h1>",
        f'<p class="subtitle">{subtitle}</p>',
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
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n"
        f"<body>{''.join(body)}</body></html>\n"
    )


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
