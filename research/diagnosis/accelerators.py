"""Which TPUs and GPUs the machine has, and why JAX may not see them."""

import dataclasses
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from research.diagnosis.finding import Finding
from research.diagnosis.machine import Machine

GOOGLE, NVIDIA = "0x1ae0", "0x10de"
"""PCI vendors."""

LOCKFILE = "tmp/libtpu_lockfile"

MINIMUM_DRIVER = {"jax-cuda12-plugin": 525, "jax-cuda13-plugin": 580}
"""Oldest branch of NVIDIA's driver that runs programs of CUDA 12.x and 13.x:
https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html"""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of accelerator.

    Attributes:
      platform: JAX's name.
      label: what people call it.
      nodes: patterns of its device nodes.
      plugins: packages, one of which JAX needs to use it.
      extra: the extra of Hanok that installs one.
      aliases: names in JAX_PLATFORMS that mean it.
      log: where to read on when JAX gives no reason.
    """

    platform: str
    label: str
    nodes: tuple[str, ...]
    plugins: tuple[str, ...]
    extra: str
    aliases: tuple[str, ...]
    log: str


TPU = Kind(
    platform="tpu",
    label="TPU",
    nodes=("dev/accel[0-9]*", "dev/vfio/[0-9]*"),
    plugins=("libtpu",),
    extra="tpu",
    aliases=("tpu",),
    log="the newest file in /tmp/tpu_logs says more",
)
GPU = Kind(
    platform="gpu",
    label="NVIDIA GPU",
    nodes=("dev/nvidia[0-9]*", "dev/dxg"),
    plugins=tuple(MINIMUM_DRIVER),
    extra="cuda",
    aliases=("gpu", "cuda"),
    log="TF_CPP_MIN_LOG_LEVEL=0 python -c 'import jax; jax.devices()' says more",
)
KINDS = {kind.platform: kind for kind in (TPU, GPU)}


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the machine has of one kind of accelerator.

    Attributes:
      nodes: its device nodes.
      forbidden: those of them that this user may not open.
      holders: other processes that have one of them open, PID -> name.
      plugins: installed plugins, name -> version.
      driver: version of NVIDIA's driver, "" if unknown.
      without_driver: whether the hardware is there, but no driver runs it.
      lock_left: whether libtpu's lock file is there, and no process seems to hold it.
    """

    nodes: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    holders: Mapping[int, str] = dataclasses.field(default_factory=dict)
    plugins: Mapping[str, str] = dataclasses.field(default_factory=dict)
    driver: str = ""
    without_driver: bool = False
    lock_left: bool = False


def probe(kind: Kind, machine: Machine) -> Facts:
    """Reads what there is of a kind of accelerator; starts nothing, opens no device."""
    paths = [path for path in machine.glob(*kind.nodes) if _belongs(path, machine)]
    nodes = tuple(machine.name(path) for path in paths)
    plugins = {name: version for name in kind.plugins if (version := machine.version(name))}
    forbidden = (path for path in paths if not os.access(path, os.R_OK | os.W_OK))
    locked = kind is TPU and (machine.root / LOCKFILE).exists()
    holders = _holders(machine, {*nodes, f"/{LOCKFILE}"} if locked else set(nodes))
    return Facts(
        nodes=nodes,
        forbidden=tuple(machine.name(path) for path in forbidden),
        holders=holders,
        plugins=plugins,
        driver=_driver(machine) if kind is GPU else "",
        without_driver=kind is GPU and not nodes and _on_pci(machine),
        lock_left=locked and not holders,
    )


def check(
    kind: Kind, facts: Facts, seen: dict[str, Any], environ: Mapping[str, str], demanded: str = ""
) -> list[Finding]:
    """Says what is to be said of a kind of accelerator; nothing if JAX uses it.

    Args:
      kind: the kind.
      facts: what the machine has of it.
      seen: what JAX sees, see `backends.look`.
      environ: environment variables.
      demanded: the platform that JAX should use; "" is the best there is.
    """
    if seen["platform"] == kind.platform:
        return []
    nodes = ", ".join(facts.nodes)
    installed = " and ".join(f"{name} {version}" for name, version in facts.plugins.items())
    if nodes and demanded not in ("", kind.platform):
        return [Finding(kind.platform, f"{nodes} not used, as {demanded} is asked for")]
    if nodes:
        return [
            Finding(kind.platform, f"{nodes} is there, but JAX does not see it: {why}", remedy)
            for why, remedy in _reasons(kind, facts, seen, environ)
        ]
    if facts.without_driver:
        message = f"an {kind.label} is on the PCI bus, but its driver is not loaded"
        remedy = "install NVIDIA's driver, or load it: sudo modprobe nvidia"
        wanted = installed or demanded == kind.platform
        return [Finding(kind.platform, message, remedy if wanted else "")]
    if demanded == kind.platform:
        patterns = " and no ".join(f"/{pattern.replace('[0-9]', '')}" for pattern in kind.nodes)
        return [
            Finding(
                kind.platform,
                f"there is no {kind.label} on this machine: no {patterns}",
                "use a machine that has one; a container must be given its device nodes",
            )
        ]
    return [Finding(kind.platform, f"none here; {installed} is installed")] if installed else []


def _reasons(
    kind: Kind, facts: Facts, seen: dict[str, Any], environ: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Returns why JAX doesn't see devices whose nodes are there, each with its remedy."""
    found = []
    chosen = environ.get("JAX_PLATFORMS", "")
    if chosen and not set(chosen.split(",")) & set(kind.aliases):
        found.append((f"JAX_PLATFORMS={chosen} is set in the environment", "unset JAX_PLATFORMS"))
    if kind is GPU and environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        found.append(("CUDA_VISIBLE_DEVICES hides it", "unset CUDA_VISIBLE_DEVICES"))
    if not facts.plugins:
        missing = f"{' or '.join(kind.plugins)} is not installed"
        found.append((missing, f"pip install -e '.[{kind.extra}]'"))
    for plugin in facts.plugins:
        needed = MINIMUM_DRIVER.get(plugin, 0)
        if facts.driver and int(facts.driver.split(".")[0]) < needed:
            too_old = f"NVIDIA's driver {facts.driver} is too old for {plugin}"
            found.append((too_old, f"install driver {needed} or newer"))
    for node in facts.forbidden:
        found.append((f"this user may not open {node}", f"sudo chmod a+rw {node}"))
    # A TPU belongs to one process; GPUs are shared, but their memory can be used up.
    if kind is TPU or not found:
        for pid, name in facts.holders.items():
            found.append((f"process {pid} ({name}) holds it", f"end that process: kill {pid}"))
    if facts.lock_left:
        left = f"/{LOCKFILE} is there, but no process seems to hold it"
        found.append((left, f"sudo rm /{LOCKFILE}"))
    if not found:
        about = [line for line in seen["said"] if any(f"'{name}'" in line for name in kind.aliases)]
        said = " ".join(" ".join(about or seen["said"]).split())
        found.append(
            (said[:300], kind.log)
            if said
            else (
                f"it runs on {seen['platform']}, perhaps since earlier in this process",
                "start a new process; in a notebook, restart the runtime",
            )
        )
    return found


def _belongs(node: pathlib.Path, machine: Machine) -> bool:
    """Whether a device node is an accelerator's, where others have the like."""
    if node.parent.name == "vfio":  # any device may be handed on by VFIO
        vendors = machine.glob(f"sys/kernel/iommu_groups/{node.name}/devices/*/vendor")
        return not vendors or GOOGLE in {path.read_text().strip() for path in vendors}
    if node.name == "dxg":  # any GPU that Windows shares with Linux
        return (machine.root / "usr/lib/wsl/lib/libcuda.so.1").exists()
    return True


def _on_pci(machine: Machine) -> bool:
    """Whether a display controller (PCI class 3) of NVIDIA's is on the bus."""
    return any(
        path.read_text().strip() == NVIDIA
        and (path.parent / "class").read_text().startswith("0x03")
        for path in machine.glob("sys/bus/pci/devices/*/vendor")
    )


def _driver(machine: Machine) -> str:
    text = machine.text("proc/driver/nvidia/version")
    found = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", text)
    return found[1] if found else ""


def _holders(machine: Machine, files: set[str]) -> dict[int, str]:
    """Returns the other processes that have one of the files open, PID -> name."""
    found = {}
    for process in machine.glob("proc/[0-9]*") if files else ():
        if process.name == str(os.getpid()):
            continue
        try:
            links = os.listdir(process / "fd")
        except OSError:  # it has ended, or is another user's
            continue
        if any(_target(process / "fd" / link) in files for link in links):
            found[int(process.name)] = machine.text(f"proc/{process.name}/comm") or "?"
    return dict(sorted(found.items()))


def _target(link: pathlib.Path) -> str:
    try:
        return os.readlink(link)
    except OSError:  # closed meanwhile
        return ""
