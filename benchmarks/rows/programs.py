"""The commands of programs that are timed from their start."""

import json

import numpy as np

from benchmarks.harness import scratch
from benchmarks.torch_model import Layers
from benchmarks.work import arrays
from research.data.splits import open_dataset
from research.experiment import Experiment


def torch_command(experiment: Experiment, channels_last: bool = False) -> list[str]:
    """Returns the arguments of Python with which PyTorch trains an experiment.

    The data is written to a folder that is there as long as this process is.
    """
    import torch  # noqa: F401  (whoever has none hears it now)

    folder = scratch()
    dataset = open_dataset(experiment.data)
    for name, split in (("train", dataset.train), ("validation", dataset.validation)):
        images, labels = arrays(split)
        np.save(folder / f"{name}_images.npy", images)
        np.save(folder / f"{name}_labels.npy", labels)
    options = {
        "layers": Layers.of(experiment)._asdict(),
        "classes": len(dataset.class_names),
        "batch": experiment.global_batch_size,
        "learning_rate": experiment.optimizer.learning_rate,
        "mean": dataset.mean.tolist(),
        "std": dataset.std.tolist(),
        "epochs": 30,
        "channels_last": channels_last,
    }
    return ["-m", "benchmarks.torch_program", str(folder), json.dumps(options)]
