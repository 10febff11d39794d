"""Real runs on eight devices in every mode, to be compared with one device.

JAX_NUM_CPU_DEVICES=8 python -m tests.placements FOLDER result.json
"""

import json
import pathlib
import re
import sys

import jax

from research.data.splits import open_dataset
from research.experiment import timetable
from research.metrics import read
from research.program import enable_compilation_cache, make_program
from research.sharding import path_name
from tests.runs import experiment, final_state, run

STEPS = 50

TOLERANCE = 2e-6
"""Of losses between 0.2 and 3, in float32, over 50 steps; what was seen is 4e-7."""

COMMON = [
    f"--config.steps={STEPS}",
    "--config.logging.every_steps=1",
    "--config.logging.tensorboard=false",
    "--config.model.dropout_rate=0.3",
]
# Without kinks: at one, a difference of a rounding becomes one of a gradient.
MODELS = {
    "mlp": [
        "--config.model.widths=(256,128)",
        "--config.model.batch_norm=false",
        "--config.model.activation=gelu",
        "--config.optimizer.name=adamw",
    ],
    "cnn": [
        "--config.model.name=cnn",
        "--config.model.stages=((16,),(128,))",
        "--config.model.stage_dropout_rate=0.3",
        "--config.model.head=global_average",
        "--config.model.widths=()",
        "--config.model.activation=gelu",
        "--config.model.pooling=average",
        "--config.optimizer.name=momentum",
        "--config.optimizer.learning_rate=0.05",
        "--config.optimizer.ema_decay=0.9",
    ],
}
MODES = {
    "one device": ["--config.mesh.shape=data:1"],
    "two devices": ["--config.mesh.shape=data:2"],
    "four devices": ["--config.mesh.shape=data:4"],
    "dp": [],
    "fsdp": ["--config.mesh.mode=fsdp"],
    "dp and tp": ["--config.mesh.shape=data:4,model:2"],
    "fsdp and tp": ["--config.mesh.shape=data:4,model:2", "--config.mesh.mode=fsdp"],
    "pmap": ["--config.mesh.mode=pmap"],
}
RESUMED = {
    "dp": "four devices",
    "fsdp": "dp and tp",
    "dp and tp": "pmap",
    "pmap": "fsdp",
    "fsdp and tp": "one device",
    "one device": "dp",
}
"""Where a run that began in a mode goes on after half of its steps."""


def chosen(model: str, mode: str):
    return experiment(*COMMON, *MODELS[model], *MODES[mode])


def main(folder: pathlib.Path, output: pathlib.Path) -> None:
    """Writes what was found: model -> mode -> losses, collectives and bytes."""
    enable_compilation_cache()
    found = {}
    for model in MODELS:
        undisturbed = folder / model / "one device"
        run(chosen(model, "one device"), undisturbed)
        found[model] = {"undisturbed": lines(undisturbed)}
        for mode, other in RESUMED.items():
            path = folder / model / f"{mode}, then {other}"
            run(chosen(model, mode), path, stop_after=STEPS // 2)
            placed = placement(chosen(model, mode), path)
            run(chosen(model, other), path)
            found[model][mode] = {**lines(path), **placed}
    output.write_text(json.dumps(found))


def lines(path: pathlib.Path) -> dict:
    """The losses of a run, and its validation."""
    by_split = {
        split: [line["loss"] for line in read(path / "metrics.jsonl") if line["split"] == split]
        for split in ("train", "validation")
    }
    return {**by_split, "test": json.loads((path / "summary.json").read_text())["test"]["loss"]}


def placement(experiment, path: pathlib.Path) -> dict:
    """The collectives of the compiled step, and the bytes on one device of each array."""
    dataset = open_dataset(experiment.data)
    program = make_program(experiment, timetable(experiment, len(dataset.train)), dataset)
    state = final_state(experiment, path)
    size = experiment.global_batch_size
    batch = {
        "input": jax.ShapeDtypeStruct((size, *dataset.input_shape), "uint8"),
        "label": jax.ShapeDtypeStruct((size,), "int32"),
    }
    batch = jax.tree.map(lambda x: x.update(sharding=program.batch_sharding), batch)
    text = program.train_step.lower(program.state_shapes, batch).compile().as_text()
    return {
        "collectives": sorted(
            set(re.findall(r" ((?:all-|collective-|reduce-scatter)[\w-]*)(?:-start)?\(", text))
        ),
        "bytes": {
            path_name(path): [leaf.nbytes, leaf.addressable_shards[0].data.nbytes]
            for path, leaf in jax.tree.leaves_with_path(state)
        },
    }


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
