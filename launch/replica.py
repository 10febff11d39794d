"""Makes a replica of a population a run of its own, which goes on alone.

    python -m launch.replica --workdir=runs/population --replica=3 --to=runs/a
    python -m launch.train --config_json=runs/a/experiment.json --workdir=runs/a

The new run begins where the population was saved last; the population stays as it is.
"""

from launch import cli


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    from launch import platforms
    from launch.flags import parse

    values = parse(argv, _define, __doc__)
    platforms.require(values.platform)
    from research.population.export import export

    step = export(values.workdir, values.replica, values.to)
    print(
        f"wrote replica {values.replica} as of step {step} to {values.to}. It goes on with\n"
        f"  python -m launch.train --config_json={values.to}/experiment.json "
        f"--workdir={values.to}"
    )
    return cli.SUCCESS


def _define(values) -> None:
    from absl import flags

    from launch import platforms

    platforms.define(values)
    for name, text in {
        "workdir": "the work directory of the population",
        "to": "the work directory of the new run, which must not be in use",
    }.items():
        flags.DEFINE_string(name, None, text, required=True, flag_values=values)
    flags.DEFINE_integer(
        "replica", None, "which replica, from 0", required=True, flag_values=values
    )


if __name__ == "__main__":
    cli.run(main)
