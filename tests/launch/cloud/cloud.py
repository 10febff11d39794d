"""A cloud for tests: folders as hosts, and a real launcher that is let loose on it."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from launch.cloud.pack import CHECKOUT, checkout_files
from research.errors import UserError

ACTIVE = {"state": "ACTIVE"}
WORKDIR = "--workdir=gs://bucket/runs/a"

# What a host has on its PATH: python3 installs nothing, and the python of the new
# environment plays launch.train, the number of its run in $RUN.
_HOST_PROGRAMS = {
    "curl": 'echo "$WORKER"',
    "python3": """
        case "$*" in
          "-m uv venv"*)
            mkdir -p "${@: -1}/bin"
            cp "$FAKE_CLOUD/host_bin/python" "${@: -1}/bin/" ;;
          "-m uv pip install"*) [ -s constraints.txt ] && grep -q '^jax==' constraints.txt ;;
        esac
        """,
    "python": f"""
        if [ "$2" = launch.cloud.versions ]; then
          {sys.executable} "$@" | sed "$(cat "$FAKE_CLOUD/versions.$WORKER" 2>/dev/null)"
        else
          shift 2
          RUN=$(($(cat "$FAKE_CLOUD/runs.$WORKER" 2>/dev/null || echo 0) + 1))
          echo "$RUN" >"$FAKE_CLOUD/runs.$WORKER"
          export RUN
          exec bash "$FAKE_CLOUD/train" "$@"
        fi
        """,
}


class Cloud:
    """A folder with a fake gcloud.

    Attributes:
      train: shell program that every host runs for launch.train; it is given the
        flags, $WORKER and $RUN.
      hosts: how many the slice has; 1 unless the test is about several.
      refusals: what the first orders are refused with.
      states: for each order the states in the sequence in which they are seen.
      gcloud_connects_again: whether gcloud starts a command anew on a host whose
        connection was lost.
      ssh_hangs: whether ssh does not notice that a host was taken away.
      keeps_hosts: whether giving back fails.
      outages: how many questions for the state of an order get no answer.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.train = "echo trained"
        self.hosts = 1
        self.refusals, self.states = [], [[ACTIVE]]
        self.gcloud_connects_again = self.keeps_hosts = False
        self.ssh_hangs = False
        self.outages = 0
        fake = pathlib.Path(__file__).with_name("fake_gcloud.py")
        self._program("bin/gcloud", f'exec {sys.executable} -S {fake} "$@"')
        for name, text in _HOST_PROGRAMS.items():
            self._program(f"host_bin/{name}", text)

    def launch(self, *flags, code):
        """Runs the launcher to its end, with this exit code; returns what it printed."""
        running = self.start(*flags)
        output = running.communicate(timeout=120)[0]
        assert running.returncode == code, output
        return output

    def start(self, *flags):
        """Starts the launcher."""
        (self.folder / "scenario.json").write_text(json.dumps(vars(self), default=str))
        (self.folder / "train").write_text(textwrap.dedent(self.train))
        slice_flags = ("--type=v5litepod-16", "--zone=us-west4-a", "--poll_seconds=0.1")
        return subprocess.Popen(
            [sys.executable, "-m", "launch.cloud.tpu", *slice_flags, *flags, "--", WORKDIR],
            cwd=CHECKOUT,
            env=os.environ
            | {
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                "FAKE_CLOUD": str(self.folder),
                "HANOK_CACHE_DIR": str(self.folder / "cache"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def interrupt(self, running, after):
        """Sends Ctrl-C once a line holds `after`; returns what is printed from there on."""
        for line in running.stdout:
            if after in line:
                running.send_signal(signal.SIGINT)
                return line + running.communicate(timeout=60)[0]
        raise AssertionError(f"the launcher never printed {after!r}")

    def calls(self, *command):
        """Returns the arguments of the calls of a command, such as ("tpu-vm", "ssh")."""
        path = self.folder / "calls.jsonl"
        called = (
            [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        )
        return [call for call in called if tuple(call[2:4]) == command or not command]

    def runs(self, host=0):
        """Returns how often launch.train was started on a host."""
        path = self.folder / f"runs.{host}"
        return int(path.read_text()) if path.exists() else 0

    def write(self, name, text):
        """Writes a file of the scenario."""
        (self.folder / name).write_text(text)

    @property
    def orders(self):
        """How many orders were accepted."""
        return len((self.folder / "orders").read_text().splitlines())

    @property
    def is_empty(self):
        """Whether nothing is left that costs."""
        return not (self.folder / "order").exists()

    def close(self):
        """Ends whatever a failed test left on the hosts."""
        for pid in self.folder.glob("hosts/*/hanok-run/pid"):
            try:
                os.killpg(int(pid.read_text()), signal.SIGKILL)
            except (OSError, ValueError):
                continue

    def _program(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\n{textwrap.dedent(text)}\n")
        path.chmod(0o755)


def wait_until(condition, seconds=30):
    """Waits for something that happens soon."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def git_lists_the_checkout():
    """Whether the checkout can be packed here."""
    try:
        return bool(checkout_files())
    except UserError:
        return False


needs_git = pytest.mark.skipif(not git_lists_the_checkout(), reason="not in a git checkout")
