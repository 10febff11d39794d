"""The commands of a launch as data: what is printed is what is run.

Syntax: https://cloud.google.com/sdk/gcloud/reference/compute/tpus. Of
`tpu-vm ssh --worker=all` one has to know (googlecloudsdk/command_lib/compute/tpus/
tpu_vm/ssh.py, 528.0.0): it runs the command on all hosts at once, starts it again
up to ten times on a host whose connection fails (ssh's exit code 255), does not
say which line is whose, and exits with the code of the first host in order that
failed, or with 1 for troubles of its own. Therefore `host.sh` names the host and
the exit code itself.
"""

import dataclasses
import shlex
import sys
from collections.abc import Sequence

from launch.cloud.slices import SliceType

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The version that the hosts get: the pinned packages are those of this one."""

_TPUS = ("gcloud", "compute", "tpus")
_SSH_FLAGS = (
    # A preempted host says nothing any more; without these ssh waits for hours.
    "--ssh-flag=-oConnectTimeout=20",
    "--ssh-flag=-oServerAliveInterval=30",
    "--ssh-flag=-oServerAliveCountMax=6",
)
_HOST_SCRIPT = "launch/cloud/host.sh"


@dataclasses.dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
      purpose: what it is for; a line of the printed plan.
      argv: the program and its arguments.
      minutes: how long it may take.
    """

    purpose: str
    argv: tuple[str, ...]
    minutes: float

    def __str__(self) -> str:
        return f"# {self.purpose}\n{shlex.join(self.argv)}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything that is decided before the first command runs.

    Attributes:
      name: of the queued resource and of its one node.
      slice_type: what is ordered.
      zone: such as "us-west4-a".
      train_flags: of launch.train, the same on every host.
      runtime_version: the image of the hosts.
      tarball: where the packed checkout lies on this machine.
      project: "" for gcloud's own.
      spot: whether the slice may be taken away, at a lower price.
      service_account: "" for the project's default.
      setup: a shell command for every host after the installation, or "".
    """

    name: str
    slice_type: SliceType
    zone: str
    train_flags: tuple[str, ...]
    runtime_version: str
    tarball: str
    project: str = ""
    spot: bool = False
    service_account: str = ""
    setup: str = ""

    def create(self) -> Step:
        """Orders the slice; returns when the order stands in the queue."""
        argv = (
            *_TPUS,
            *("queued-resources", "create", self.name, f"--node-id={self.name}"),
            f"--accelerator-type={self.slice_type.name}",
            f"--runtime-version={self.runtime_version}",
            *(["--spot"] if self.spot else []),
            *([f"--service-account={self.service_account}"] if self.service_account else []),
            *self._common(),
        )
        return Step("order the slice", argv, minutes=10)

    def describe_order(self) -> Step:
        """Prints the queued resource as JSON."""
        argv = (*_TPUS, "queued-resources", "describe", self.name, "--format=json")
        return Step("how the order stands", (*argv, *self._common()), minutes=2)

    def describe_node(self) -> Step:
        """Prints the node as JSON, with an endpoint for each host."""
        argv = (*_TPUS, "tpu-vm", "describe", self.name, "--format=json")
        return Step("how its hosts are", (*argv, *self._common()), minutes=2)

    def pack(self) -> Step:
        """Packs the checkout with the versions of this environment.

        Once for a whole launch: what is edited later does not get into a training
        that goes on after a preemption.
        """
        argv = (sys.executable, "-m", "launch.cloud.pack", f"--output={self.tarball}")
        return Step("pack the checkout and this environment's versions", argv, minutes=5)

    def copy(self) -> Step:
        """Copies the packed checkout to all hosts."""
        target = f"{self.name}:hanok.tar.gz"
        argv = (*_TPUS, "tpu-vm", "scp", self.tarball, target, "--worker=all", *self._common())
        return Step("copy it to all hosts", argv, minutes=15)

    def install(self) -> Step:
        """Unpacks it and installs the pinned versions on all hosts."""
        return self._on_all_hosts("install these versions", install_command(), minutes=30)

    def prepare(self) -> Step:
        """Runs the user's own setup command on all hosts."""
        return self._on_all_hosts("run --setup", self.setup, minutes=60)

    def versions(self) -> Step:
        """Prints the versions of every host."""
        return self._on_all_hosts("compare the versions of all hosts", _host("versions"), minutes=5)

    def train(self, attempt: int) -> Step:
        """Trains on all hosts, or joins the attempt of that number if it has begun."""
        command = _host("train", str(attempt), *self.train_flags)
        return self._on_all_hosts("train; log lines show their host", command, minutes=float("inf"))

    def stop(self) -> Step:
        """Lets training save and end on all hosts."""
        return self._on_all_hosts("let training save and end", _host("stop"), minutes=8)

    def delete(self) -> Step:
        """Gives the slice back, with the order."""
        argv = (*_TPUS, "queued-resources", "delete", self.name, "--force", *self._common())
        return Step("give the slice back", argv, minutes=20)

    def setting_up(self) -> list[Step]:
        """Returns what makes new hosts ready, without the look at their versions."""
        steps = [self.copy(), self.install()]
        return [*steps, self.prepare()] if self.setup else steps

    def _on_all_hosts(self, purpose: str, command: str, minutes: float) -> Step:
        argv = (*_TPUS, "tpu-vm", "ssh", self.name, "--worker=all", *_SSH_FLAGS)
        return Step(purpose, (*argv, *self._common(), f"--command={command}"), minutes)

    def _common(self) -> Sequence[str]:
        project = [f"--project={self.project}"] if self.project else []
        return [f"--zone={self.zone}", *project, "--quiet"]


def install_command() -> str:
    """Returns the shell command that installs ~/hanok.tar.gz on a host."""
    return (
        "rm -rf hanok.next && mkdir hanok.next && tar -xzf hanok.tar.gz -C hanok.next && "
        f"bash hanok.next/{_HOST_SCRIPT} install {PYTHON}"
    )


def _host(*arguments: str) -> str:
    return shlex.join(["bash", f"hanok/{_HOST_SCRIPT}", *arguments])
