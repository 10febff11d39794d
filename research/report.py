"""What a run leaves to be read: summary.json and the learning curves."""

import pathlib
from typing import Any

from research import metrics
from research.errors import errors_of_disk
from research.evaluation import SHOWN_AS
from research.workdir import Workdir, write_json

CONTENTS = {
    "summary.json": "the result",
    "learning_curves.png": "what was measured, over steps",
    "metrics.jsonl": "all metrics, one JSON object a line",
    "tensorboard/": "the same as TensorBoard event files",
    "checkpoints/": "the newest checkpoints and the best one",
    "experiment.json": "the experiment, with versions",
}
"""What stands in a work directory."""

MEASURES = ("accuracy", "r2")
"""What is drawn beside the loss, whichever there is."""


def write(workdir: Workdir, summary: dict[str, Any], title: str) -> list[str]:
    """Writes summary and curves; returns the lines that say where everything is."""
    write_json(workdir.summary, summary)
    draw_learning_curves(workdir, title)
    workdir.push()
    there = {name: text for name, text in CONTENTS.items() if (workdir.home / name).exists()}
    return [
        f"wrote {workdir.home}:",
        *(f"  {name:<22}{text}" for name, text in there.items()),
    ]


def draw_learning_curves(workdir: Workdir, title: str) -> pathlib.Path:
    """Draws loss and measure over steps from metrics.jsonl; returns the file."""
    # The object-oriented interface: no window system, no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = list(metrics.read(workdir.metrics))
    splits = list(dict.fromkeys(line["split"] for line in lines))
    measure = next((name for name in MEASURES if any(name in line for line in lines)), "accuracy")
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, 2), ("loss", measure), strict=True):
        for number, split in enumerate(splits):
            of_split = [line for line in lines if line["split"] == split and name in line]
            style = {"linewidth": 1} if split == "train" else {"marker": "o", "markersize": 3}
            replicas = list(dict.fromkeys(line.get("replica") for line in of_split))
            for replica in replicas:
                points = [(e["step"], e[name]) for e in of_split if e.get("replica") == replica]
                axes.plot(
                    *zip(*points, strict=True),
                    color=f"C{number}",
                    alpha=max(0.2, len(replicas) ** -0.5),
                    label=split if replica == replicas[0] else None,
                    **style,
                )
        axes.set_xlabel("step")
        axes.set_ylabel(SHOWN_AS[name])
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title)
    with errors_of_disk(workdir.curves.name, workdir.root):
        figure.savefig(workdir.curves, dpi=120)
    return workdir.curves
