"""Lists, verifies, compares, copies and removes the checkpoints of a run.

    python -m launch.checkpoints ls     --workdir=runs/a
    python -m launch.checkpoints verify --workdir=runs/a
    python -m launch.checkpoints diff   --workdir=runs/a --step=400 --with=runs/b --with_step=400
    python -m launch.checkpoints copy   --workdir=runs/a --best --to=archive/a
    python -m launch.checkpoints prune  --workdir=runs/a --keep=1

ls shows what is there. verify reads every file and compares it with the digest
in the checkpoint's manifest. diff compares two checkpoints array by array, of
one run unless --with is given. copy makes a work directory that can be evaluated
and gone on with. prune removes all but the newest undamaged ones and the best.
Exit codes: 0 done, 2 bad input or a damaged checkpoint.
"""

from absl import flags

from launch import cli
from launch.flags import parse
from research.errors import UserError, listing, suggestion


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    action = argv[0] if argv and not argv[0].startswith("-") else ""
    values = parse(argv[1:] if action else argv, _define, __doc__)
    if action not in ACTIONS:
        raise UserError(
            f"no action {action!r}.{suggestion(action, ACTIONS)} There are {listing(ACTIONS)}"
            if action
            else f"say what to do first: {listing(ACTIONS)}"
        )
    if not values.workdir:
        raise UserError("--workdir: give the work directory of a run")
    return ACTIONS[action](values)


def _ls(values: flags.FlagValues) -> int:
    from research.checkpoint_tools import list_all

    for step, found in list_all(values.workdir).items():
        if found is None:
            print(f"{step:>9}  its manifest is damaged")
            continue
        score = f"  validation {found.measure} {found.score[0]:.4f}" if found.score else ""
        saved, jax = found.saved or "at a time not noted", found.jax or "of a version not noted"
        print(f"{step:>9}  {saved:<25}  {found.size:>14,} bytes  jax {jax}{score}")
    return cli.SUCCESS


def _verify(values: flags.FlagValues) -> int:
    from research.checkpoint_tools import damages
    from research.errors import shortened

    found = damages(values.workdir, values.step)
    for step, lines in found.items():
        print(f"{step:>9}  {'DAMAGED: ' + shortened(lines) if lines else 'undamaged'}")
    return cli.BAD_INPUT if any(found.values()) else cli.SUCCESS


def _diff(values: flags.FlagValues) -> int:
    from research.checkpoint_tools import compare, open_checkpoints

    folders = []
    for path, step in (
        (values.workdir, values.step),
        (values["with"].value or values.workdir, values.with_step),
    ):
        files, checkpoints = open_checkpoints(path)
        folders.append(files.checkpoints / str(checkpoints.pick(step)))
    if folders[0] == folders[1]:
        raise UserError("both are the same checkpoint; give --step, --with or --with_step")
    found = compare(*folders)
    print(f"{folders[0]}\n{folders[1]}")
    for line in (*found.experiment, *found.arrays):
        print(f"  {line}")
    print(f"{len(found.arrays)} arrays differ, {found.equal} are equal")
    return cli.SUCCESS


def _copy(values: flags.FlagValues) -> int:
    from research.checkpoint_tools import copy

    if not values.to:
        raise UserError("--to: give the work directory to copy to")
    print(copy(values.workdir, values.to, values.step, values.best))
    return cli.SUCCESS


def _prune(values: flags.FlagValues) -> int:
    from research.checkpoint_tools import prune

    done = prune(values.workdir, values.keep)
    for what, steps in (
        ("removed", done.removed),
        ("kept", done.kept),
        ("damaged and left alone", done.damaged),
    ):
        if steps:
            print(f"{what}: {', '.join(map(str, steps))}")
    return cli.SUCCESS


ACTIONS = {"ls": _ls, "verify": _verify, "diff": _diff, "copy": _copy, "prune": _prune}


def _define(values: flags.FlagValues) -> None:
    def text(name, meaning):
        flags.DEFINE_string(name, "", meaning, flag_values=values)

    def step(name, meaning):
        flags.DEFINE_integer(name, None, meaning, lower_bound=0, flag_values=values)

    text("workdir", "work directory of the run")
    step("step", "verify, diff, copy: this checkpoint")
    flags.DEFINE_bool("best", False, "copy: the best by validation", flag_values=values)
    text("with", "diff: work directory of the other checkpoint")
    step("with_step", "diff: step of the other checkpoint; the newest unless given")
    text("to", "copy: work directory to copy to")
    flags.DEFINE_integer(
        "keep", 1, "prune: how many of the newest stay", lower_bound=1, flag_values=values
    )


if __name__ == "__main__":
    cli.run(main)
