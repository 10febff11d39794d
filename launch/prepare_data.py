"""Downloads and prepares a TensorFlow Datasets data set for training.

    python -m launch.prepare_data --dataset=fashion_mnist
    python -m launch.prepare_data --dataset=fashion_mnist --data_dir=data --download_dir=files

Needs TensorFlow: pip install 'hanok[prepare]', or -e '.[prepare]' in a checkout.
With --download_dir files that are there already, under the names that TFDS or
their publisher gives them, are not downloaded. Exit codes: 0 done, 2 bad input.
"""

from absl import flags

from launch import cli
from launch.flags import parse
from research.errors import UserError


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    values = parse(argv, _define, __doc__)
    if not values.dataset:
        raise UserError("--dataset: give the name of a data set, such as fashion_mnist")
    from research.data.preparing import prepare

    print(prepare(values.dataset, values.data_dir, values.download_dir))
    return cli.SUCCESS


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_string("dataset", "", "name in the TFDS catalogue", flag_values=values)
    flags.DEFINE_string(
        "data_dir",
        "",
        "where it goes; $TFDS_DATA_DIR or ~/tensorflow_datasets unless given",
        flag_values=values,
    )
    flags.DEFINE_string(
        "download_dir", "", "folder with files downloaded earlier; only read", flag_values=values
    )


if __name__ == "__main__":
    cli.run(main)
