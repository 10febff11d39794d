"""Evaluates a checkpoint of a run on one of its splits.

    python -m launch.evaluate --workdir=runs/a
    python -m launch.evaluate --workdir=runs/a --best --split=validation
    python -m launch.evaluate --workdir=runs/a --dropout_samples=50
    python -m launch.evaluate --workdir=runs/a --tta=flip

Prints accuracy, loss and the confusion matrix, or where numbers are predicted R²,
MSE, MAE and loss. Exit codes: 0 done, 2 bad input.
"""

from absl import flags

from launch import cli, platforms
from launch.flags import parse
from research.augmentation import TTA
from research.errors import UserError

SPLITS = ("train", "validation", "test")


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    values = parse(argv, _define, __doc__)
    if not values.workdir:
        raise UserError("--workdir: give the work directory of a run")
    if values.best and values.step is not None:
        raise UserError("--best and --step exclude each other; give one of them")
    platforms.require(values.platform)
    from research.evaluation import confusion_table
    from research.program import enable_compilation_cache
    from research.restoring import evaluate_checkpoint

    enable_compilation_cache()
    changes = {name: getattr(values, name) for name in ("dropout_samples", "tta")}
    changes = {name: value for name, value in changes.items() if value is not None}
    evaluated = evaluate_checkpoint(values.workdir, values.split, values.step, values.best, changes)
    for name, result in evaluated.results.items():
        print(f"step {evaluated.step}  {name}  {result.text()}  ({result.examples} examples)")
        if evaluated.class_names:
            print(confusion_table(result, evaluated.class_names))
    return cli.SUCCESS


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_string("workdir", "", "work directory of the run", flag_values=values)
    flags.DEFINE_integer(
        "step", None, "step of the checkpoint; the newest unless given", flag_values=values
    )
    flags.DEFINE_bool(
        "best", False, "the best checkpoint by validation instead", flag_values=values
    )
    flags.DEFINE_integer(
        "dropout_samples",
        None,
        "dropout masks to average predictions over; as in training unless given",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "tta",
        None,
        TTA,
        "views of each image to average predictions over; as in training unless given",
        flag_values=values,
    )
    flags.DEFINE_enum("split", "test", SPLITS, "what to evaluate on", flag_values=values)
    platforms.define(values)


if __name__ == "__main__":
    cli.run(main)
