"""A short training with augmentation on one device and on eight, in the modes of a mesh.

JAX_NUM_CPU_DEVICES=8 python -m tests.augmentation.modes result.json
"""

import json
import pathlib
import re
import sys

from research.augmentation import Augmentation, RandAugment
from research.data import TfdsImages
from research.experiment import Evaluation, Logging, Mesh, timetable
from research.models.mlp import Mlp
from research.program import make_program
from tests import tiny
from tests.batches import train_batch

MODES = {
    "one device": Mesh(shape="data:1"),
    "dp": Mesh(),
    "pmap": Mesh(mode="pmap"),
}
AUGMENTATION = Augmentation(crop=1, policy=RandAugment(layers=1), mixup=1.0, cutmix=1.0)


def trained(mesh: Mesh) -> dict:
    """The losses of four steps, and the collectives in the step."""
    chosen = tiny.experiment(
        global_batch_size=16,
        model=Mlp(widths=(16,), activation="gelu"),
        data=TfdsImages(name="tiny"),
        augmentation=AUGMENTATION,
        mesh=mesh,
        evaluation=Evaluation(global_batch_size=16),
        logging=Logging(every_steps=1),
    )
    dataset = tiny.dataset()
    program = make_program(chosen, timetable(chosen, len(dataset.train)), dataset)
    state, losses = program.init(), []

    def batch(step):
        return train_batch(dataset.train, 16, 0, step, program.batch_sharding)

    compiled = program.train_step.lower(state, batch(0)).compile()
    for step in range(4):
        state, metrics = compiled(state, batch(step))
        losses.append(float(metrics["loss"]))
    collectives = re.findall(r" ((?:all-|collective-|reduce-scatter)[\w-]*)\(", compiled.as_text())
    return {"losses": losses, "collectives": sorted(set(collectives))}


if __name__ == "__main__":
    found = {name: trained(mesh) for name, mesh in MODES.items()}
    pathlib.Path(sys.argv[1]).write_text(json.dumps(found))
