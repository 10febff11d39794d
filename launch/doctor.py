"""Says whether this machine can train, and if not, why and what to do.

    python -m launch.doctor
    python -m launch.doctor --platform=tpu
    python -m launch.doctor --json

Looks at versions, devices, memory, data sets and the cache; changes nothing.
Exit codes: 0 all is well, 2 something has to be mended.
"""

import json
import sys

from launch import cli
from research.errors import UserError


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    try:
        from launch.flags import parse
        from research.diagnosis.machine import Machine
        from research.diagnosis.report import diagnose
    except ModuleNotFoundError as error:
        raise UserError(
            f"{sys.executable} has no package {error.name!r}. Install Hanok into a virtual "
            "environment and activate it:\n"
            "  python3 -m venv .venv && .venv/bin/pip install -e . && source .venv/bin/activate"
        ) from error

    values = parse(argv, _define, __doc__)
    diagnosis = diagnose(Machine(), values.platform)
    print(json.dumps(diagnosis.as_dict(), indent=2) if values.json else diagnosis.as_text())
    return cli.BAD_INPUT if diagnosis.problems else cli.SUCCESS


def _define(values) -> None:
    from absl import flags

    from launch import platforms

    flags.DEFINE_bool("json", False, "print it as JSON", flag_values=values)
    platforms.define(values)


if __name__ == "__main__":
    cli.run(main)
