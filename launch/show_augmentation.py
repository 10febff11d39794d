"""Draws what the augmentation of an experiment makes of its training images.

    python -m launch.show_augmentation --config.augmentation.crop=2 --config.augmentation.mixup=0.4
    python -m launch.show_augmentation --config=configs/cifar10_cnn.py --output=cifar10.png \\
        --config.augmentation.policy.name=trivial_augment

Each row is an example of the first batch, each column a step of training: what
the compiled step sees, with the labels. Exit codes: 0 done, 2 bad input.
"""

import pathlib

from launch import cli, platforms
from launch.flags import parse_experiment


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    experiment, values = parse_experiment(argv, _define, __doc__)
    platforms.require(values.platform)
    from research.augmentation.figure import draw
    from research.data.splits import open_dataset
    from research.program import enable_compilation_cache

    enable_compilation_cache()
    path = pathlib.Path(values.output)
    draw(experiment, open_dataset(experiment.data), path, values.examples, values.steps)
    print(f"wrote {path}")
    return cli.SUCCESS


def _define(values) -> None:
    from absl import flags

    flags.DEFINE_string("output", "augmentation.png", "the image to write", flag_values=values)
    flags.DEFINE_integer("examples", 6, "how many rows", lower_bound=1, flag_values=values)
    flags.DEFINE_integer(
        "steps",
        7,
        "how many columns beside the images as they are",
        lower_bound=1,
        flag_values=values,
    )
    platforms.define(values)


if __name__ == "__main__":
    cli.run(main)
