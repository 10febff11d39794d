"""Trains an experiment, or goes on where the same command was stopped.

    python -m launch.train --config=configs/digits_mlp.py --workdir=runs/a
    python -m launch.train --config.optimizer.learning_rate=3e-3 --workdir=runs/b

Exit codes: 0 finished, 2 bad input, 3 loss or gradient not finite, 75 stopped
by SIGINT, SIGTERM or --max_minutes with the state saved, 130 left at once after
a second SIGINT, 1 crashed.
"""

from launch import cli


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    with cli.StopRequest() as stop:
        # Signals are heeded from here on; what takes time is imported below.
        from launch.flags import parse_experiment

        experiment, values = parse_experiment(argv, _define, __doc__)
        # From here on JAX is loaded; a wrong command line has failed by now.
        from research.console import Console
        from research.program import enable_compilation_cache

        if values.dry_run:
            return _dry_run(experiment)
        from research.training import train

        if values.max_minutes is not None:
            stop.limit(values.max_minutes)
        enable_compilation_cache()
        workdir = values.workdir or f"runs/{experiment.name}"
        outcome = train(experiment, workdir, Console(), stop)
        return cli.STOPPED if outcome.stopped else cli.SUCCESS


def _dry_run(experiment) -> int:
    from launch.flags import describe
    from research.data.splits import open_dataset
    from research.models.table import table_of_layers

    print(f"{describe(experiment)}\n")
    dataset = open_dataset(experiment.data)
    experiment.model.check_input(dataset.image_shape)
    print(table_of_layers(experiment.model, len(dataset.class_names), dataset.image_shape))
    return cli.SUCCESS


def _define(values) -> None:
    from absl import flags

    flags.DEFINE_string(
        "workdir", "", "where everything is written; runs/NAME unless given", flag_values=values
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


if __name__ == "__main__":
    cli.run(main)
