"""The diagnosis as a whole, for the screen and for programs."""

import dataclasses
import textwrap
from typing import Any

from research.diagnosis import accelerators, backends, places, versions
from research.diagnosis.finding import Finding
from research.diagnosis.machine import Machine

WIDTH, INDENT = 100, " " * 14


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What was found about a machine.

    Attributes:
      python: version of Python.
      versions: installed packages that matter.
      seen: what JAX sees, see `backends.look`.
      findings: what was found, in the order in which it is shown.
    """

    python: str
    versions: dict[str, str]
    seen: dict[str, Any]
    findings: list[Finding]

    @property
    def problems(self) -> list[Finding]:
        """The findings that have to be mended."""
        return [finding for finding in self.findings if finding.is_problem]

    def as_dict(self) -> dict[str, Any]:
        """Returns the diagnosis as a JSON value."""
        findings = [dataclasses.asdict(finding) for finding in self.findings]
        return {
            "well": not self.problems,
            "python": self.python,
            "versions": self.versions,
            "platform": self.seen["platform"],
            "devices": self.seen["devices"],
            "findings": findings,
        }

    def as_text(self) -> str:
        """Returns the diagnosis for a screen: what must be mended is marked and has an arrow."""
        lines = []
        for finding in self.findings:
            mark = "!!" if finding.is_problem else "ok"
            text = f"{mark}  {finding.topic:<10}{finding.message}"
            lines += textwrap.wrap(text, WIDTH, subsequent_indent=INDENT, break_on_hyphens=False)
            if finding.remedy:
                lines.append(f"{INDENT}-> {finding.remedy}")
        count = len(self.problems)
        verdict = f"{count} problem{'s' if count > 1 else ''}" if count else "all is well"
        return "\n".join([*lines, "", verdict]).replace("\u00a0", " ")


def diagnose(machine: Machine, demanded: str = "") -> Diagnosis:
    """Looks at everything that a run needs.

    Args:
      machine: the machine, real or simulated.
      demanded: the platform that JAX should use; "" is the best there is.
    """
    installed, findings = versions.check(machine)
    seen = machine.look(demanded)
    findings = [
        *findings,
        *devices(machine, seen, demanded),
        *places.host_memory(machine),
        *places.device_memory(machine, seen),
        *places.data_sets(machine),
        *places.cache(machine),
    ]
    return Diagnosis(machine.python, installed, seen, findings)


def devices(machine: Machine, seen: dict[str, Any], demanded: str) -> list[Finding]:
    """Tells which devices JAX uses, and why not those that it should."""
    unseen = []
    for kind in accelerators.KINDS.values():
        facts = accelerators.probe(kind, machine)
        unseen += accelerators.check(kind, facts, seen, machine.environ, demanded)
    explained = any(finding.is_problem for finding in unseen)
    platform, chosen = seen["platform"], machine.environ.get("JAX_PLATFORMS")
    if platform:
        kinds = [device["kind"] for device in seen["devices"]]
        counted = ", ".join(f"{kinds.count(kind)} × {kind}" for kind in dict.fromkeys(kinds))
        message = f"JAX uses {platform}: {counted}"
        remedy = "start a new process; in a notebook, restart the runtime"
    elif explained:
        return unseen
    else:
        message = f"JAX does not start: {' '.join(' '.join(seen['said']).split())[:300]}"
        remedy = "python -c 'import jax; jax.devices()' says more"
    if chosen:
        message += f" (JAX_PLATFORMS={chosen})"
        remedy = "unset JAX_PLATFORMS"
    wrong = not platform or demanded not in ("", platform)
    return [Finding("devices", message, remedy if wrong and not explained else ""), *unseen]


def why_not(platform: str, machine: Machine) -> list[Finding]:
    """Has JAX use a platform; says why it can't, or nothing if it does."""
    kind = accelerators.KINDS.get(platform)
    # What is known already need not be asked of plugins, which make noise about it.
    there = kind is None or accelerators.probe(kind, machine).nodes
    chosen = machine.environ.get("JAX_PLATFORMS")
    if there and chosen and chosen.split(",")[0] not in (kind.aliases if kind else (platform,)):
        message = f"JAX_PLATFORMS={chosen} is set in the environment"
        return [Finding("devices", message, "unset JAX_PLATFORMS")]
    seen = machine.look(platform) if there else backends.NOTHING
    return [finding for finding in devices(machine, seen, platform) if finding.is_problem]
