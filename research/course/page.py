"""The course as one HTML page that needs nothing else."""

import html
from collections.abc import Sequence

import numpy as np

from research import pages
from research.course.running import Outcome

_STYLE = """
body { max-width: 960px; }
h2 { font-size: 20px; margin: 56px 0 6px; border-top: 1px solid var(--line); padding-top: 28px; }
.badge { font-size: 13px; font-weight: 650; border-radius: 4px; padding: 2px 8px; margin-left: 8px;
  vertical-align: 2px; color: white; background: #19703f; }
.badge.no { background: #b3261e; }
p { max-width: 75ch; margin: 8px 0 14px; }
ul.claims { list-style: none; padding: 12px 16px; margin: 14px 0; background: var(--band);
  border-radius: 6px; }
ul.claims li { padding-left: 26px; text-indent: -26px; }
ul.claims b { display: inline-block; width: 26px; text-indent: 0; }
ul.claims span { color: var(--soft); }
figure { margin: 18px 0; }
pre { background: var(--band); border-radius: 6px; padding: 12px 16px; overflow-x: auto;
  font-size: 12.5px; line-height: 1.5; }
pre.error { color: #b3261e; white-space: pre-wrap; }
summary { color: var(--soft); cursor: pointer; margin-top: 12px; }
td a { text-decoration: none; border-bottom: 1px solid var(--line); }
"""


def render(outcomes: Sequence[Outcome], minutes: float, machine: str) -> str:
    """Returns the page of the lessons that were run.

    Args:
      outcomes: the lessons as they turned out.
      minutes: what it took to run them, this time.
      machine: says where they were run.
    """
    held = sum(outcome.held for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    subtitle = (
        f"{held} of {len(outcomes)} lessons showed what they claim. The runs took "
        f"{_time(seconds)} on {machine}; this page was made in {_time(60 * minutes)}."
    )
    body = [
        "<h1>The course</h1>",
        f'<p class="subtitle">{html.escape(subtitle)}</p>',
        _contents(outcomes),
        *map(_section, outcomes),
        f"<footer>{html.escape(_versions(outcomes))}</footer>",
    ]
    return pages.page("The course", _STYLE, "".join(body))


def _contents(outcomes: Sequence[Outcome]) -> str:
    rows = [
        f'<tr><td><a href="#{outcome.name}">{html.escape(outcome.lesson.title)}</a></td>'
        f'<td class="words">{_word(outcome)}</td><td>{len(outcome.jobs)}</td>'
        f"<td>{_time(outcome.seconds)}</td></tr>"
        for outcome in outcomes
    ]
    head = '<tr><th>lesson</th><th class="words">claims</th><th>runs</th><th>time</th></tr>'
    return f"<table>{head}{''.join(rows)}</table>"


def _section(outcome: Outcome) -> str:
    lesson = outcome.lesson
    badge = f'<span class="badge{"" if outcome.held else " no"}">{_plain(outcome)}</span>'
    parts = [
        f'<h2 id="{outcome.name}">{html.escape(lesson.title)} {badge}</h2>',
        f"<p>{html.escape(lesson.text)}</p>",
    ]
    if outcome.error:
        parts.append(f'<pre class="error">{html.escape(outcome.error)}</pre>')
    if outcome.figures:
        parts += [_claims(outcome), f"<figure>{outcome.plot}</figure>", _figures(outcome)]
    return "".join([*parts, _commands(outcome)])


def _claims(outcome: Outcome) -> str:
    lines = [
        f'<li><b class="{"good" if check.held else "bad"}">{"✓" if check.held else "✗"}</b>'
        f"{html.escape(check.claim)} <span>({html.escape(check.measured)})</span></li>"
        for check in outcome.checks
    ]
    return f'<ul class="claims">{"".join(lines)}</ul>'


def _figures(outcome: Outcome) -> str:
    names = list(outcome.lesson.measures)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    rows = "".join(
        f"<tr><td>{html.escape(variant)}</td>"
        + "".join(f"<td>{_mean_and_sd(found[name])}</td>" for name in names)
        + f"<td>{len(found[names[0]])}</td></tr>"
        for variant, found in outcome.figures.items()
    )
    return (
        '<div class="scroll"><table><tr><th>mean ± standard deviation</th>'
        f"{head}<th>seeds</th></tr>{rows}</table></div>"
    )


def _commands(outcome: Outcome) -> str:
    first = [job for job in outcome.jobs if job.seed == 0]
    lines = [
        f"# {job.variant}\npython -m launch.train --config=configs/course/{outcome.name}.py "
        + " ".join(map(_quoted, job.flags))
        + f" --workdir={_quoted(str(job.path))}"
        for job in first
    ]
    whole = f"python -m launch.course --lesson={outcome.name}"
    text = html.escape("\n".join([whole, *lines]))
    return f"<details><summary>Commands, with seed 0</summary><pre>{text}</pre></details>"


def _quoted(flag: str) -> str:
    return f'"{flag}"' if set("()'\" ,") & set(flag) else flag


def _mean_and_sd(values: np.ndarray) -> str:
    mean, sd = values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0
    if mean and not 1e-3 <= abs(mean) < 1e4:
        return f"{mean:.2e} ± {sd:.1e}"
    digits = 3 if abs(mean) < 10 else 1
    return f"{mean:.{digits}f} ± {sd:.{digits}f}"


def _word(outcome: Outcome) -> str:
    return f'<span class="{"good" if outcome.held else "bad"}">{_plain(outcome)}</span>'


def _plain(outcome: Outcome) -> str:
    if outcome.error:
        return "failed"
    count = sum(check.held for check in outcome.checks)
    return "held" if outcome.held else f"{count} of {len(outcome.checks)} held"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def _versions(outcomes: Sequence[Outcome]) -> str:
    versions = next((outcome.versions for outcome in outcomes if outcome.versions), {})
    return ", ".join(f"{name} {version}" for name, version in versions.items())
