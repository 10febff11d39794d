"""Whether the installed packages are those that Hanok is tested with.

The bounds are the requirements in Hanok's own metadata; how jax, jaxlib and
their plugins for TPU and GPU must fit each other stands in jax's.
"""

import importlib.metadata
from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from research.diagnosis.finding import Finding
from research.diagnosis.machine import Machine

HANOK = "hanok"
JAX_FAMILY = ("jax", "libtpu")
JAX_EXTRAS = {"tpu", "cuda12", "cuda13"}
REINSTALL = "pip install -e . in the checkout"


def check(machine: Machine) -> tuple[dict[str, str], list[Finding]]:
    """Compares what is installed with what is required.

    Returns:
      Versions of what every run needs, and of jax's companions; and what was found.
    """
    try:
        metadata = machine.distribution(HANOK).metadata
    except importlib.metadata.PackageNotFoundError:
        message = "Hanok is not installed, so nothing says what it needs"
        return {}, [Finding("packages", message, REINSTALL)]
    versions: dict[str, str] = {}
    findings: dict[Finding, None] = {}  # in order, each once
    for owner, requirement, optional in _requirements(machine):
        name, found = requirement.name, machine.version(requirement.name)
        if found and (name.startswith(JAX_FAMILY) or (owner == HANOK and not optional)):
            versions[name] = found
        if not found and optional:
            continue
        if not found or not requirement.specifier.contains(found, prereleases=True):
            message = (
                f"{name} {found or 'is not installed'}; {owner} {machine.version(owner)} "
                f"is for {name}{requirement.specifier}"
            )
            findings[Finding("packages", message, f"pip install '{_plain(requirement)}'")] = None
    if not findings:
        # No line may break between a name and its version.
        listed = ", ".join(f"{name}\u00a0{version}" for name, version in versions.items())
        findings[Finding("packages", f"as tested: {listed}")] = None
    return versions, [_python(machine, metadata["Requires-Python"]), *findings]


def _python(machine: Machine, supported: str) -> Finding:
    message = f"{machine.python} (tested: {supported}), {machine.executable}"
    fits = SpecifierSet(supported).contains(machine.python, prereleases=True)
    remedy = "" if fits else f"install Hanok in a virtual environment of a Python {supported}"
    return Finding("python", message, remedy)


def _requirements(machine: Machine) -> Iterator[tuple[str, Requirement, bool]]:
    """Yields who requires what, and whether it may be absent."""
    extras = set(machine.distribution(HANOK).metadata.get_all("Provides-Extra") or ())
    waiting, followed = [(HANOK, extras, False)], set()
    while waiting:
        owner, extras, absent = waiting.pop(0)
        for text in machine.distribution(owner).requires or ():
            requirement = Requirement(text)
            marker = requirement.marker
            always = marker is None or marker.evaluate({"extra": ""})
            if not always and not any(marker.evaluate({"extra": extra}) for extra in extras):
                continue
            name = requirement.name
            yield owner, requirement, absent or not always
            # What is below jax decides whether it finds its devices; the rest is pip's affair.
            if name.startswith("jax") and name not in followed and machine.version(name):
                followed.add(name)
                wanted = JAX_EXTRAS if name == "jax" else requirement.extras
                waiting.append((name, wanted, absent or not always))


def _plain(requirement: Requirement) -> str:
    """Returns a requirement as pip takes it, without its marker."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"
