"""Machines that are not there: their files, packages and what JAX would see on them."""

import email.message
import importlib.metadata
import json
import pathlib

from research.diagnosis.backends import NOTHING
from research.diagnosis.machine import Machine, Ran

CPU = {"platform": "cpu", "devices": [{"kind": "cpu"}], "said": []}


class Package:
    """An installed package, as importlib.metadata describes one."""

    def __init__(self, version, *requires, extras=(), python=None):
        self.version, self.requires = version, list(requires)
        self.metadata = email.message.Message()
        if python:
            self.metadata["Requires-Python"] = python
        for extra in extras:
            self.metadata["Provides-Extra"] = extra


PACKAGES = {
    "hanok": Package(
        "0.1.0",
        "flax<0.13,>=0.12.8",
        "jax<0.13,>=0.10.2",
        'jax[tpu]; extra == "tpu"',
        'jax[cuda12]; extra == "cuda"',
        'tensorflow-cpu<2.22,>=2.20; extra == "prepare"',
        extras=("tpu", "cuda", "prepare"),
        python="<3.14,>=3.11",
    ),
    "flax": Package("0.12.8", "treescope>=9"),  # not ours to check
    "jax": Package(
        "0.10.2",
        "jaxlib<=0.10.2,>=0.10.1",
        'jaxlib==0.10.1; extra == "minimum-jaxlib"',
        'libtpu==0.0.42.*; extra == "tpu"',
        'jax-cuda12-plugin[with-cuda]<=0.10.2,>=0.10.2; extra == "cuda12"',
        'jax-cuda13-plugin[with-cuda]<=0.10.2,>=0.10.2; extra == "cuda13"',
    ),
    "jaxlib": Package("0.10.2"),
}
LIBTPU = {"libtpu": Package("0.0.42.1")}
CUDA = {"jax-cuda12-plugin": Package("0.10.2", 'nvidia-cudnn-cu12>=9.8; extra == "with-cuda"')}


def machine(
    root: pathlib.Path,
    files=(),
    processes=None,
    packages=None,
    sees=CPU,
    programs=None,
    python="3.12.1",
    **environ,
) -> Machine:
    """Returns a machine whose file system is the folder `root`.

    Args:
      root: an empty folder.
      files: paths of empty files, or (path, content).
      processes: PID -> (name, file that it has open).
      packages: installed ones besides `PACKAGES`; None as a value removes one.
      sees: what JAX sees there.
      programs: name -> output, or (exit code, output).
      python: version of Python.
      environ: environment variables.
    """
    for file in files:
        path, content = (file, "") if isinstance(file, str) else file
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    for pid, (name, opened) in (processes or {}).items():
        (root / f"proc/{pid}/fd").mkdir(parents=True)
        (root / f"proc/{pid}/comm").write_text(f"{name}\n")
        (root / f"proc/{pid}/fd/7").symlink_to(opened)
    installed = {**PACKAGES, **(packages or {})}

    def distribution(name):
        if installed.get(name) is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    def run(command, seconds):
        try:
            answer = (programs or {})[command[0]]
        except KeyError as error:
            raise FileNotFoundError(command[0]) from error
        code, output = answer if isinstance(answer, tuple) else (0, answer)
        return Ran(code, output, "")

    return Machine(
        root=root,
        environ={
            "HANOK_CACHE_DIR": str(root / "cache"),
            "TFDS_DATA_DIR": str(root / "data"),
            **environ,
        },
        python=python,
        executable="/usr/bin/python3",
        distribution=distribution,
        run=run,
        look=lambda platform: sees,
    )


def fails(*said):
    """Returns what is seen of a JAX that doesn't start."""
    return {**NOTHING, "said": list(said)}


def prepared(name, form):
    """Returns the file that says in which form a data set was prepared."""
    return f"data/{name}/dataset_info.json", json.dumps({"name": name, "fileFormat": form})
