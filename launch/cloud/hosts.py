"""What happens on the hosts of a slice: setting up, training, stopping."""

import json
import re
import time
from collections.abc import Callable

from launch import cli
from launch.cloud.commands import Plan, Step
from launch.cloud.orders import Limits, last_line
from launch.cloud.runner import TIMED_OUT, Finished, Runner
from launch.cloud.screen import show
from launch.cloud.versions import disagreements, installed
from research.errors import UserError

# Lines of two hosts may come as one: each is searched for, wherever it stands.
_SPOKEN = re.compile(r"\[\d+\] ")
_ENDED = re.compile(r"\[(\d+)\] launch\.train ended with exit code (\d+)")
_VERSIONS = re.compile(r"\[(\d+)\] versions (\{.*?\})")

_LOOKS_APART = 2  # polls; while training a look is of use only when a host is lost
_AFTER_A_FAILURE_POLLS = 10  # then hosts that wait for one that failed are waited for no more


class Hosts:
    """Commands to all hosts of a slice at once.

    Attributes:
      silent: whether the last training ended without a word for too long, or at all.
    """

    def __init__(self, plan: Plan, limits: Limits, runner: Runner, say: Callable[[str], None]):
        self._plan, self._limits, self._runner, self._say = plan, limits, runner, say
        self.silent = False

    def pack(self) -> None:
        """Packs what all hosts will get.

        Raises:
          UserError: if the checkout can't be packed.
        """
        done = self._run(self._plan.pack())
        if done.code:
            raise UserError(done.error.removeprefix("error: "))

    def set_up(self, hosts: int) -> str:
        """Gives all hosts the checkout and the same versions; returns what failed, "" if nothing.

        Raises:
          UserError: if the hosts' versions differ.
        """
        for step in self._plan.setting_up():
            done = self._run(step)
            if done.code:
                return f"could not {step.purpose} (exit code {done.code})"
        reports: dict[int, dict[str, str]] = {}

        def collect(line: str) -> None:
            for host, report in _VERSIONS.findall(line):
                reports[int(host)] = json.loads(report)

        self._run(self._plan.versions(), collect)
        if len(reports) < hosts:
            return f"only {len(reports)} of {hosts} hosts told their versions"
        if different := disagreements(reports, installed()):
            listed = "\n".join(f"  {line}" for line in different)
            raise UserError(f"the versions on the hosts differ; nothing was trained:\n{listed}")
        shown = reports[min(reports)]
        self._say(
            f"{hosts} host{'s' if hosts > 1 else ''} ready, python {shown['python']}, "
            f"jax {shown['jax']}, libtpu {shown['libtpu']}"
        )
        return ""

    def train(self, attempt: int, codes: dict[int, int], lost: Callable[[], str]) -> None:
        """Trains, or joins this attempt where it runs already, until no host speaks any more.

        Args:
          attempt: its number on this slice.
          codes: takes the exit code of each host that ended, in their order.
          lost: is asked now and then why to listen no longer; "" while all is well.
        """
        heard = looked = began = time.monotonic()
        failed = float("inf")
        stalled = 60 * self._limits.stall_minutes
        poll = self._limits.poll_seconds

        def note(line: str) -> None:
            nonlocal heard, failed
            if _SPOKEN.search(line):
                heard = time.monotonic()
            for host, code in _ENDED.findall(line):
                codes.setdefault(int(host), int(code))
                if int(code) not in (cli.SUCCESS, cli.STOPPED):
                    failed = min(failed, heard)

        def watch() -> str:
            nonlocal looked
            now = time.monotonic()
            if now > heard + stalled:
                return f"no host has said anything for {self._limits.stall_minutes:g} minutes"
            if now > failed + _AFTER_A_FAILURE_POLLS * poll:
                return "a host has failed, and others do not end"
            if now < looked + _LOOKS_APART * poll:
                return ""
            reason = lost()
            looked = time.monotonic()
            return reason

        done = self._run(self._plan.train(attempt), note, watch)
        self.silent = heard == began or time.monotonic() > heard + stalled
        if done.code == TIMED_OUT:
            self._say(last_line(done))

    def stop(self) -> None:
        """Lets training save and end on all hosts, as far as they can be reached."""
        self._run(self._plan.stop())

    def _run(
        self,
        step: Step,
        note: Callable[[str], None] = lambda line: None,
        watch: Callable[[], str] = lambda: "",
    ) -> Finished:
        """Runs a step, prints its lines and hands them to `note`."""

        def each_line(line: str) -> None:
            show(line)
            note(line)

        self._say(step.purpose)
        return self._runner.run(step, each_line, watch)
