"""What a run leaves to be read: summary.json and the learning curves."""

import pathlib
from typing import Any

from research import metrics
from research.errors import errors_of_disk
from research.workdir import Workdir, write_json

CONTENTS = {
    "summary.json": "the result",
    "learning_curves.png": "loss and accuracy over steps",
    "metrics.jsonl": "all metrics, one JSON object a line",
    "tensorboard/": "the same as TensorBoard event files",
    "checkpoints/": "the newest checkpoints and the best one",
    "experiment.json": "the experiment, with versions",
}
"""What stands in a work directory."""


def write(workdir: Workdir, summary: dict[str, Any]) -> list[str]:
    """Writes summary and curves; returns the lines that say where everything is."""
    write_json(workdir.summary, summary)
    accuracy = summary["test"]["accuracy"]
    draw_learning_curves(workdir, f"{summary['experiment']}: test accuracy {accuracy:.4f}")
    workdir.push()
    there = {name: text for name, text in CONTENTS.items() if (workdir.home / name).exists()}
    return [
        f"wrote {workdir.home}:",
        *(f"  {name:<22}{text}" for name, text in there.items()),
    ]


def draw_learning_curves(workdir: Workdir, title: str) -> pathlib.Path:
    """Draws loss and accuracy over steps from metrics.jsonl; returns the file."""
    # The object-oriented interface: no window system, no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = list(metrics.read(workdir.metrics))
    splits = list(dict.fromkeys(line["split"] for line in lines))
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split in splits:
            points = [(line["step"], line[name]) for line in lines if line["split"] == split]
            style = {"linewidth": 1} if split == "train" else {"marker": "o", "markersize": 3}
            axes.plot(*zip(*points, strict=True), label=split, **style)
        axes.set_xlabel("step")
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title)
    with errors_of_disk(workdir.curves.name, workdir.root):
        figure.savefig(workdir.curves, dpi=120)
    return workdir.curves
