"""Makes one training step of a run again, and says where it ceases to be finite.

    python -m launch.replay --workdir=runs/a --step=1234

The step is made operation by operation, without compiling it. What is named is
the first operation that gives an infinity and the first that gives a NaN, with
their layers. The work directory is only read. Exit codes: 0 done, 2 bad input.
"""

from absl import flags

from launch import cli, platforms
from launch.flags import parse
from research.errors import UserError


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    values = parse(argv, _define, __doc__)
    if not values.workdir or values.step is None:
        raise UserError("give the work directory of a run and a step, with --workdir and --step")
    platforms.require(values.platform)
    from research.program import enable_compilation_cache
    from research.replay import replay

    enable_compilation_cache()
    replayed = replay(values.workdir, values.step)
    way = f"the checkpoint of step {replayed.start}" if replayed.start else "the beginning"
    print(f"step {values.step}, reached from {way}:")
    for finding in replayed.findings:
        print(finding)
    if not replayed.findings:
        print("every number is finite")
    for how, metrics in (("op by op", replayed.metrics), ("compiled", replayed.compiled)):
        print(f"{how}: loss {metrics['loss']:.6g}, gradient norm {metrics['gradient_norm']:.6g}")
    return cli.SUCCESS


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_string("workdir", "", "work directory of the run", flag_values=values)
    flags.DEFINE_integer("step", None, "the step, counted from 1", flag_values=values)
    platforms.define(values)


if __name__ == "__main__":
    cli.run(main)
