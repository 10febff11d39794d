"""Trains an experiment, or goes on where the same command was stopped.

    python -m launch.train --config=configs/digits_mlp.py --workdir=runs/a
    python -m launch.train --config.optimizer.learning_rate=3e-3 --workdir=runs/b

Exit codes: 0 finished, 2 bad input, 3 loss or gradient not finite, 75 stopped
by SIGINT or SIGTERM with the state saved, 1 crashed.
"""

from absl import flags

from launch import cli
from launch.flags import describe, parse_experiment


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    with cli.StopSignals() as stop_requested:
        experiment, values = parse_experiment(argv, _define, __doc__)
        # From here on JAX is loaded; a wrong command line has failed by now.
        from research.console import Console
        from research.program import enable_compilation_cache

        if values.dry_run:
            return _dry_run(experiment)
        from research.training import train

        enable_compilation_cache()
        workdir = values.workdir or f"runs/{experiment.name}"
        outcome = train(experiment, workdir, Console(), stop_requested)
        return cli.STOPPED if outcome.stopped else cli.SUCCESS


def _dry_run(experiment) -> int:
    from research.data.splits import open_dataset
    from research.models.table import table_of_layers

    print(f"{describe(experiment)}\n")
    dataset = open_dataset(experiment.data)
    experiment.model.check_input(dataset.image_shape)
    print(table_of_layers(experiment.model, len(dataset.class_names), dataset.image_shape))
    return cli.SUCCESS


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "workdir", "", "where everything is written; runs/NAME unless given", flag_values=values
    )
    flags.DEFINE_bool(
        "dry_run",
        False,
        "print the experiment and the model's layers, then stop",
        flag_values=values,
    )


if __name__ == "__main__":
    cli.run(main)
