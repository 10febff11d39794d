"""Package versions: those of this environment, and whether hosts have the same.

    python -m launch.cloud.versions    # one line of JSON, read by the launcher

It imports nothing but the standard library.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Mapping

NAMED = ("jax", "jaxlib", "libtpu", "flax", "optax", "orbax-checkpoint", "numpy")
"""Compared one by one; the others all together."""

_PINNABLE = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?")  # no local builds, no dev versions


def installed() -> dict[str, str]:
    """Returns the installed distributions, normalised name -> version."""
    return {
        re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower(): found.version
        for found in importlib.metadata.distributions()
        if found.metadata["Name"]
    }


def constraints(versions: Mapping[str, str]) -> str:
    """Returns a constraints file that pins these versions, but for Hanok itself."""
    return "".join(
        f"{name}=={version}\n"
        for name, version in sorted(versions.items())
        if name != "hanok" and _PINNABLE.fullmatch(version)
    )


def report(versions: Mapping[str, str]) -> dict[str, str]:
    """Returns what is compared between hosts, short enough for one line of a log."""
    named = {name: versions.get(name, "absent") for name in NAMED}
    return {
        "python": platform.python_version(),
        "checkout": os.environ.get("HANOK_CHECKOUT", ""),
        **named,
        "all packages": hashlib.sha256(constraints(versions).encode()).hexdigest()[:12],
    }


def disagreements(hosts: Mapping[int, Mapping[str, str]], here: Mapping[str, str]) -> list[str]:
    """Says where hosts differ from each other or from the versions pinned here.

    Args:
      hosts: number of a host -> its `report`.
      here: `installed()` on this machine.

    Returns:
      A line for each difference, such as "jax: 0.10.2 on host 0; 0.10.1 on host 1".
    """
    lines = []
    for name in next(iter(hosts.values())):
        where: dict[str, list[int]] = {}
        for host, versions in sorted(hosts.items()):
            where.setdefault(versions.get(name, "absent"), []).append(host)
        pinned = here.get(name) if name in NAMED else None
        if len(where) > 1 or (pinned and pinned not in where):
            shown = [f"{version} on {_hosts(numbers)}" for version, numbers in where.items()]
            lines.append(f"{name}: {'; '.join(shown)}{f' (pinned: {pinned})' if pinned else ''}")
    return lines


def _hosts(numbers: list[int]) -> str:
    return f"host{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


if __name__ == "__main__":
    print("versions", json.dumps(report(installed())))
