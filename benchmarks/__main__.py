"""Measures speed side by side; prints a table, writes JSON and a plot.

    python -m benchmarks
    python -m benchmarks --works=tiny,mlp --contenders=hanok,torch --turns=5

Contenders have processes of their own and take turns; a figure is the median of
the turns with the least and the most of them. Needs pip install 'hanok[benchmarks]'
and, for all but the tiny work, Fashion-MNIST (python -m launch.prepare_data).
"""

import json
import pathlib

from benchmarks.contenders import CONTENDERS
from benchmarks.harness import Measured, compete
from benchmarks.work import WORKS
from launch import cli
from research.errors import UserError, suggestion


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    from launch.flags import parse

    values = parse(argv, _define, __doc__)
    works, names = (
        _chosen("works", values.works, WORKS),
        _chosen("contenders", values.contenders, CONTENDERS),
    )
    found = {}
    for work in works:
        there = [name for name in names if WORKS[work].channels or "channels" not in name]
        found[work] = compete(work, there, values.turns, values.seconds)
        print(_table(work, found[work]), flush=True)
    folder = pathlib.Path(values.output)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "speed.json").write_text(json.dumps(_record(found), indent=2) + "\n")
    _draw(found, folder / "speed.png")
    print(f"wrote {folder / 'speed.json'} and {folder / 'speed.png'}")
    failed = any(measured.failed for each in found.values() for measured in each.values())
    return 1 if failed else cli.SUCCESS


def _table(work: str, found: dict[str, Measured]) -> str:
    lines = [
        f"\n{WORKS[work].title}, Adam",
        "| | steps/s | least to most | of the best PyTorch | peak memory |",
        "|---|---|---|---|---|",
    ]
    torch = [m.median for name, m in found.items() if "torch" in name and not m.failed]
    for name, measured in found.items():
        if measured.failed:
            lines.append(f"| {name} | failed: {measured.failed} | | | |")
            continue
        ratio = f"{measured.median / max(torch):.2f}×" if torch else ""
        lines.append(
            f"| {name} | {measured.median:,.1f} | {min(measured.rates):,.1f} to "
            f"{max(measured.rates):,.1f} | {ratio} | {measured.peak_bytes / 1e6:,.0f} MB |"
        )
    return "\n".join(lines)


def _record(found: dict[str, dict[str, Measured]]) -> dict:
    from research.mesh import hardware
    from research.workdir import versions

    return {
        "machine": hardware(),
        "versions": versions(),
        "works": {
            work: {name: measured._asdict() for name, measured in each.items()}
            for work, each in found.items()
        },
    }


def _draw(found: dict[str, dict[str, Measured]], path: pathlib.Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(found), 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (work, each) in zip(
        figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True
    ):
        sound = {name: measured for name, measured in each.items() if not measured.failed}
        medians = [measured.median for measured in sound.values()]
        spread = [
            [measured.median - min(measured.rates) for measured in sound.values()],
            [max(measured.rates) - measured.median for measured in sound.values()],
        ]
        colors = ["C0" if name == "hanok" else "0.7" for name in sound]
        axes.barh(list(sound), medians, xerr=spread, color=colors)
        axes.invert_yaxis()
        axes.set_xlabel("training steps per second")
        axes.set_title(WORKS[work].title, fontsize=9)
    figure.savefig(path, dpi=120)


def _chosen(flag: str, given: list[str], known: dict) -> list[str]:
    for name in given:
        if name not in known:
            raise UserError(f"--{flag}: there is no {name!r}.{suggestion(name, known)}")
    return given or list(known)


def _define(values) -> None:
    from absl import flags

    flags.DEFINE_list("works", [], "rows of the table; all unless given", flag_values=values)
    flags.DEFINE_list("contenders", [], "who takes part; all unless given", flag_values=values)
    flags.DEFINE_integer("turns", 5, "of each contender", lower_bound=1, flag_values=values)
    flags.DEFINE_float("seconds", 3.0, "of a turn, about", lower_bound=0.1, flag_values=values)
    flags.DEFINE_string("output", "benchmarks/results", "folder to write to", flag_values=values)


if __name__ == "__main__":
    cli.run(main)
