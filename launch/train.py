"""Trains an experiment, or goes on where the same command was stopped.

    python -m launch.train --config=configs/digits_mlp.py --workdir=runs/a
    python -m launch.train --config.optimizer.learning_rate=3e-3 --workdir=runs/b
    python -m launch.train --config.init_from=runs/a --workdir=runs/c

Exit codes: 0 finished, 2 bad input, 3 loss or gradient not finite, 75 stopped
with the state saved (by SIGINT, SIGTERM, SIGHUP, the notice of a preemption on
Google Cloud, or --max_minutes), 130 left at once after a second SIGINT, 1 crashed.
"""

import contextlib
import os

from launch import cli
from research.errors import UserError


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    with cli.StopRequest() as stop:
        # Signals are heeded from here on; what takes time is imported below.
        from launch import cores, platforms, preemption
        from launch.flags import parse_experiment

        experiment, values = parse_experiment(argv, _define, __doc__)
        workdir = values.workdir or f"runs/{experiment.name}"
        preemption.watch(stop.request)
        if values.max_minutes is not None:
            stop.limit(values.max_minutes)
        if not values.dry_run:
            _join_others(values, workdir)  # which must be before JAX starts its backends
        cores.prepare(experiment)  # so must this
        platforms.require(values.platform)
        # From here on JAX is loaded; a wrong command line has failed by now.
        if values.dry_run:
            return _dry_run(experiment)
        from research import processes
        from research.console import Console
        from research.program import enable_compilation_cache
        from research.training import train

        kind = None
        if experiment.population.size > 1:
            from research.population.run import PopulationRun as kind

        enable_compilation_cache()
        with contextlib.ExitStack() as stack:
            stream = None if processes.is_first() else stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(processes.parting_words())
            outcome = train(cores.spread(experiment), workdir, Console(stream), stop, kind)
        return cli.STOPPED if outcome.stopped else cli.SUCCESS


def _join_others(values, workdir: str) -> None:
    """Joins the other processes of a run, if the flags say that there are any."""
    by_hand = {name: getattr(values, name) for name in ("num_processes", "process_id")}
    if values.coordinator:
        for name, value in by_hand.items():
            if value is None:
                raise UserError(f"--coordinator needs --{name}, too")
        if values.process_id >= values.num_processes:
            raise UserError(
                f"--process_id={values.process_id}: {values.num_processes} processes are "
                f"numbered 0 to {values.num_processes - 1}"
            )
    elif set(by_hand.values()) != {None}:
        raise UserError("--num_processes and --process_id need --coordinator, too")
    elif not values.distributed:
        return
    from research.cluster import Cluster, join

    cluster = Cluster(
        coordinator=values.coordinator,
        count=values.num_processes or 0,
        index=values.process_id or 0,
        patience=values.join_timeout,
        heartbeat=values.heartbeat_timeout,
    )
    join(cluster, workdir)


def _dry_run(experiment) -> int:
    import jax

    from launch.flags import describe
    from research import warm_start
    from research.data.splits import open_dataset
    from research.experiment import timetable
    from research.models.table import table_of_layers
    from research.objectives import objective
    from research.program import steps_of

    print(f"{describe(experiment)}\n")
    dataset = open_dataset(experiment.data)
    num_classes, shape = len(dataset.class_names), dataset.input_shape
    # Whatever a run would refuse is refused here.
    steps = steps_of(experiment, timetable(experiment, len(dataset.train)), dataset)
    if experiment.init_from:
        print(f"{warm_start.choose(jax.eval_shape(steps.init), experiment, shape)}\n")
    outputs = objective(experiment.loss, num_classes).num_outputs
    print(table_of_layers(experiment.model, outputs, shape))
    return cli.SUCCESS


def _define(values) -> None:
    from absl import flags

    from launch import platforms

    platforms.define(values)
    flags.DEFINE_string(
        "workdir",
        "",
        "where everything is written, a folder or gs://BUCKET/FOLDER; runs/NAME unless given",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "dry_run",
        False,
        "print the experiment and the model's layers, then stop",
        flag_values=values,
    )
    flags.DEFINE_float(
        "max_minutes",
        None,
        "save and leave with exit code 75 after this time",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_bool(
        "distributed",
        False,
        "train together with the other hosts; JAX finds them (Cloud TPU, GKE, Slurm)",
        flag_values=values,
    )
    flags.DEFINE_string(
        "coordinator",
        "",
        "the same with hosts given by hand: host:port of process 0",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_processes", None, "how many processes train", lower_bound=1, flag_values=values
    )
    flags.DEFINE_integer(
        "process_id", None, "which of them this is, from 0", lower_bound=0, flag_values=values
    )
    flags.DEFINE_float(
        "join_timeout", 300, "seconds to wait for the others", lower_bound=1, flag_values=values
    )
    flags.DEFINE_float(
        "heartbeat_timeout",
        60,
        "seconds of silence after which a process counts as lost and the others end",
        lower_bound=1,
        flag_values=values,
    )


if __name__ == "__main__":
    cli.run(main)
