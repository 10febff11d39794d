"""A picture of what augmentation makes of a batch."""

import pathlib
from typing import Any

import jax
import numpy as np

from research.augmentation.apply import augment
from research.data.splits import Dataset
from research.errors import errors_of_disk
from research.experiment import Experiment
from research.records import require
from research.state import augmentation_key


def draw(
    experiment: Experiment, dataset: Dataset, path: pathlib.Path, examples: int, steps: int
) -> None:
    """Draws examples of the first batch as they are and as steps of training augment them.

    Args:
      experiment: says how; each step takes the key that it has in training.
      dataset: where the batch comes from.
      path: the image file to write.
      examples: how many rows.
      steps: how many columns beside the first.

    Raises:
      UserError: if no augmentation is chosen or the inputs can't be augmented.
    """
    options, size = experiment.augmentation, experiment.global_batch_size
    white = experiment.data.white
    require(
        bool(options.chosen()),
        "config.augmentation",
        "nothing is chosen; give, for instance, --config.augmentation.flip",
    )
    options.check_input(dataset.input_shape)
    names = dataset.class_names
    positions = dataset.train.train_positions(size, experiment.seed, 0)
    batch = dataset.train.gather(positions)

    @jax.jit
    def of_step(step):
        return augment(options, augmentation_key(experiment.seed, step), batch, len(names), white)

    columns = {"as it is": batch} | {f"step {step}": of_step(step) for step in range(steps)}
    fetched = {title: jax.device_get(b) for title, b in columns.items()}
    _draw(fetched, names, white, path, examples)


def _draw(
    columns: dict[str, dict[str, np.ndarray]],
    class_names: tuple[str, ...],
    white: int,
    path: pathlib.Path,
    examples: int,
) -> None:
    # The object-oriented interface: no window system, no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = min(examples, *(len(batch["label"]) for batch in columns.values()))
    figure = Figure(figsize=(1.4 * len(columns), 1.6 * rows + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, len(columns), squeeze=False)
    for axes_of_column, (title, batch) in zip(grid.T, columns.items(), strict=True):
        for row, axes in enumerate(axes_of_column):
            pixels = np.clip(batch["input"][row] / white, 0, 1)
            grey = pixels.shape[-1] == 1
            axes.imshow(pixels[..., 0] if grey else pixels, cmap="gray", vmin=0, vmax=1)
            label = shares(batch["label"][row], class_names)
            axes.set_title(f"{title}\n{label}" if row == 0 else label, fontsize=7)
            axes.axis("off")
    with errors_of_disk(path.name, path.parent):
        figure.savefig(path, dpi=100)


def shares(label: Any, class_names: tuple[str, ...]) -> str:
    """Returns a label's class, or the shares of classes that were mixed, the larger first."""
    if np.ndim(label) == 0:
        return class_names[label]
    largest = [k for k in np.argsort(-label)[:2] if label[k] >= 0.005]
    return ", ".join(f"{class_names[k]} {label[k]:.2f}" for k in largest)
