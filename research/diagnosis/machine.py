"""The machine that is diagnosed: its files, environment, packages and programs."""

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from research.diagnosis import backends

PATIENCE = 90
"""Seconds that JAX may take to start its backends."""


@dataclasses.dataclass(frozen=True)
class Ran:
    """How a program ended: its exit code, None if it didn't in time, and what it wrote."""

    code: int | None
    output: str
    errors: str


def run(command: Sequence[str], seconds: float, **variables: str) -> Ran:
    """Runs a program with additional environment variables.

    Raises:
      FileNotFoundError: if there is no such program.
    """
    environ = {**os.environ, **variables}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environ)
    except subprocess.TimeoutExpired:
        return Ran(None, "", "")
    return Ran(done.returncode, done.stdout, done.stderr)


def look_with_jax(platform: str) -> dict[str, Any]:
    """Returns what JAX sees, see `backends.look`.

    JAX is asked in a process of its own, unless this one uses it already: a TPU
    belongs to one process.
    """
    if "jax" in sys.modules:
        return backends.look(platform)
    # -P: what lies beside the program must not be taken for a module of its imports.
    return ask([sys.executable, "-P", backends.__file__, platform], PATIENCE)


def ask(command: Sequence[str], seconds: float) -> dict[str, Any]:
    """Returns what a program prints last, as JSON; how it ended, if it doesn't."""
    ran = run(command, seconds, XLA_PYTHON_CLIENT_PREALLOCATE="false")
    try:
        return json.loads(ran.output.splitlines()[-1])
    except (IndexError, ValueError):
        pass
    if ran.code is None:
        said = [f"no answer within {seconds} s; a TPU slice answers when all its hosts ask"]
    else:
        said = [f"it ended with exit code {ran.code}", *ran.errors.strip().splitlines()[-1:]]
    return {**backends.NOTHING, "said": said}


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a diagnosis may read; tests put a simulated machine in its place.

    Attributes:
      root: where the file system begins.
      environ: environment variables.
      python: version of Python.
      executable: the program that runs it.
      distribution: name of a package -> its metadata, or PackageNotFoundError.
      run: (command, seconds) -> how it ended, or FileNotFoundError.
      look: platform -> what JAX sees, see `backends.look`.
    """

    root: pathlib.Path = pathlib.Path("/")
    environ: Mapping[str, str] = dataclasses.field(default_factory=lambda: os.environ)
    python: str = platform.python_version()
    executable: str = sys.executable
    distribution: Callable[[str], importlib.metadata.Distribution] = importlib.metadata.distribution
    run: Callable[[Sequence[str], float], Ran] = run
    look: Callable[[str], dict[str, Any]] = look_with_jax

    def version(self, package: str) -> str:
        """Returns the version of an installed package, "" if it isn't."""
        try:
            return self.distribution(package).version
        except importlib.metadata.PackageNotFoundError:
            return ""

    def glob(self, *patterns: str) -> list[pathlib.Path]:
        """Returns the files below the root that match one of the patterns, sorted."""
        return sorted(path for pattern in patterns for path in self.root.glob(pattern))

    def name(self, path: pathlib.Path) -> str:
        """Returns a path as the machine itself calls it."""
        return f"/{path.relative_to(self.root)}"

    def text(self, path: str) -> str:
        """Returns what a file below the root holds, "" if it can't be read."""
        try:
            return (self.root / path).read_text(errors="replace").strip()
        except OSError:
            return ""
