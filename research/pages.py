"""HTML pages that need nothing else: their frame, their style and their figures."""

import html
import io
from collections.abc import Callable
from typing import Any

STYLE = """
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
ul { padding-left: 20px; margin: 6px 0; } li { margin: 3px 0; }
.good { color: #19703f; } .bad { color: #b3261e; }
a { color: inherit; }
footer { color: var(--soft); font-size: 13px; margin-top: 40px; }
"""

FIGURE_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "hanok",  # the same values give the same file
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#5b6b7c",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
}
"""Settings of matplotlib."""


def page(title: str, style: str, body: str) -> str:
    """Returns a page.

    Args:
      title: its title, not escaped yet.
      style: CSS rules after STYLE.
      body: HTML.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}{style}</style></head>\n"
        f"<body>{body}</body></html>\n"
    )


def svg(size: tuple[float, float], draw: Callable[[Any], None]) -> str:
    """Returns a figure as an <svg> element.

    Args:
      size: width and height in inches.
      draw: draws on the matplotlib figure that it is given.
    """
    import matplotlib

    # The object-oriented interface: no window system, no global state.
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", dpi=160, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
