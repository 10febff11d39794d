"""A replica of a population as a run of its own."""

import jax

from research import metrics, workdir
from research.checkpoints import Checkpoints
from research.data.splits import open_dataset
from research.errors import UserError
from research.experiment import timetable
from research.mesh import describe
from research.population.members import members
from research.population.program import make_population_program
from research.program import make_program


def export(path: str, replica: int, to: str) -> int:
    """Writes a replica of a population into a work directory; returns its step.

    There it is what the experiment alone would have left at that step: its
    checkpoint, its metrics and an experiment.json that says how it goes on.

    Args:
      path: the work directory of the population; only read.
      replica: its number, from 0.
      to: the work directory to be made; it must hold nothing yet.

    Raises:
      UserError: if there is no such replica or no checkpoint, or `to` is in use.
    """
    files = workdir.find_workdir(path)
    experiment, fingerprint = workdir.read_experiment(files)
    replicas = members(experiment)
    if len(replicas) == 1:
        raise UserError(f"{path} holds no population; it is a run of its own already")
    if not 0 <= replica < len(replicas):
        raise UserError(f"--replica={replica}: there are the replicas 0 to {len(replicas) - 1}")
    target = workdir.open_workdir(to)
    with target.sole_writer():
        if target.experiment.exists():
            raise UserError(f"{to} is in use; give another --to")
        alone = replicas[replica]
        dataset = open_dataset(alone.data)
        plan = timetable(alone, len(dataset.train))
        saved = Checkpoints(files.checkpoints, read_only=True)
        step = saved.newest_valid()
        if not step:
            raise UserError(f"{files.checkpoints} holds no undamaged checkpoint yet")
        together = make_population_program(experiment, plan, dataset)
        state = jax.device_get(saved.restore(step, together.state_shapes))
        program = make_program(alone, plan, dataset)
        state = jax.tree.map(
            lambda leaf, shape: jax.device_put(leaf[replica], shape.sharding),
            state,
            program.state_shapes,
        )
        workdir.claim(target, alone, fingerprint)
        metrics.rewrite(target.metrics, _lines(files, replica, step))
        mesh = describe(program.mesh, alone.mesh.mode)
        checkpoints = Checkpoints(target.checkpoints, about=workdir.provenance(alone, mesh))
        checkpoints.save(step, state)
        checkpoints.close()
        return step


def _lines(files: workdir.Workdir, replica: int, step: int) -> list[metrics.Line]:
    lines = [line for line in metrics.read(files.metrics) if line["step"] <= step]
    return [
        {name: value for name, value in line.items() if name != "replica"}
        for line in lines
        if line["replica"] == replica
    ]
