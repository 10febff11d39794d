"""Measures speed side by side; prints tables, writes them as JSON and as a plot.

    python -m benchmarks
    python -m benchmarks --only=training,start --works=tiny,mlp --turns=5

Contenders have processes of their own and take turns; a figure is the median of
the turns, with the least and the most of them. Needs pip install 'hanok[benchmarks]'
and Fashion-MNIST and CIFAR-10 (python -m launch.prepare_data); what is missing is
said in its place.
"""

import json
import pathlib

from benchmarks.harness import Options
from benchmarks.rows import ROWS
from benchmarks.table import circumstances, draw
from benchmarks.work import WORKS
from launch import cli
from research.errors import UserError, suggestion


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    from launch.flags import parse

    values = parse(argv, _define, __doc__)
    options = Options(
        values.turns,
        values.seconds,
        tuple(_chosen("works", values.works, WORKS)),
        tuple(values.contenders),
    )
    tables = []
    for row in _chosen("only", values.only, ROWS):
        for table in ROWS[row](options):
            if table.found:
                tables.append(table)
                print(table.text(), flush=True)
    if not tables:
        raise UserError(f"--contenders: none is called {' or '.join(values.contenders)}")
    folder = pathlib.Path(values.output)
    folder.mkdir(parents=True, exist_ok=True)
    record = {**circumstances(), "tables": [table.record() for table in tables]}
    (folder / "speed.json").write_text(json.dumps(record, indent=2) + "\n")
    draw(tables, folder / "speed.png")
    print(f"\nwrote {folder / 'speed.json'} and {folder / 'speed.png'}")
    all_found = [measured for table in tables for measured in table.found.values()]
    return 1 if any(m.failed and not m.absent for m in all_found) else cli.SUCCESS


def _chosen(flag: str, given: list[str], known: dict) -> list[str]:
    for name in given:
        if name not in known:
            raise UserError(
                f"--{flag}: there is no {name!r}, only {', '.join(known)}.{suggestion(name, known)}"
            )
    return given or list(known)


def _define(values) -> None:
    from absl import flags

    flags.DEFINE_list("only", [], f"of {', '.join(ROWS)}; all unless given", flag_values=values)
    flags.DEFINE_list("works", [], f"of {', '.join(WORKS)}; all unless given", flag_values=values)
    flags.DEFINE_list(
        "contenders", [], "parts of the names of who takes part; all do", flag_values=values
    )
    flags.DEFINE_integer("turns", 5, "of each contender", lower_bound=1, flag_values=values)
    flags.DEFINE_float("seconds", 3.0, "of a turn, about", lower_bound=0.1, flag_values=values)
    flags.DEFINE_string("output", "benchmarks/results", "folder to write to", flag_values=values)


if __name__ == "__main__":
    cli.run(main)
