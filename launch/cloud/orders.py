"""The order for a slice: placed, looked at, withdrawn."""

import dataclasses
import time
from collections.abc import Callable

from launch.cloud import decisions
from launch.cloud.commands import Plan
from launch.cloud.decisions import Slice
from launch.cloud.runner import Finished, Runner
from research.errors import UserError

_DELETE_ATTEMPTS = 6


@dataclasses.dataclass(frozen=True)
class Limits:
    """How often and how long.

    Attributes:
      retries: how often an order may be repeated, or training be resumed.
      poll_seconds: between two looks at the slice; other pauses are multiples of it.
      queue_hours: for capacity.
      change_minutes: for an order or a node to become what it is becoming, and for
        the cloud to answer at all.
      stall_minutes: for the next line of a training's log.
    """

    retries: int = 100
    poll_seconds: float = 30.0
    queue_hours: float = 24.0
    change_minutes: float = 60.0
    stall_minutes: float = 60.0


class GaveUp(Exception):
    """No more is tried now; the same command goes on another time."""


class Orders:
    """What the launcher does with the cloud's queue.

    Attributes:
      pending: whether there may be something to give back.
    """

    def __init__(self, plan: Plan, limits: Limits, runner: Runner, say: Callable[[str], None]):
        self._plan, self._limits, self._runner, self._say = plan, limits, runner, say
        self.pending = False
        self._shown, self._since, self._was_queued = "", time.monotonic(), False

    def look(self) -> Slice:
        """Returns the state of the slice; keeps asking while the cloud does not answer.

        Raises:
          UserError: if gcloud can't be used at all, as without an account.
          GaveUp: if there is no answer for too long.
        """
        end = time.monotonic() + 60 * self._limits.change_minutes
        while True:
            answer = self.ask()
            if isinstance(answer, Slice):
                self._tell(answer)
                return answer
            if not self.pending:
                _refuse_unless_passing(answer)
            if time.monotonic() > end:
                raise GaveUp(f"no answer from the cloud for {self._limits.change_minutes:g} min")
            self._say(f"no answer on the state of the slice: {last_line(answer)}")
            self._runner.pause(self._limits.poll_seconds)

    def ask(self) -> Slice | Finished:
        """Returns the state of the slice, or the command that didn't tell it."""
        order = self._runner.run(self._plan.describe_order())
        if order.code:
            return Slice() if decisions.is_missing(order.error) else order
        self.pending = True
        seen = decisions.order_from(order.output)
        if seen.order != "ACTIVE":
            return seen
        node = self._runner.run(self._plan.describe_node())
        if node.code:
            return seen if decisions.is_missing(node.error) else node
        seen = decisions.with_node(seen, node.output)
        return dataclasses.replace(seen, hosts=seen.hosts or self._plan.slice_type.hosts)

    def overdue(self, seen: Slice) -> bool:
        """Returns whether a slice that is changing has done so for too long.

        Raises:
          GaveUp: if it is still in the queue by then.
        """
        queued = seen.order in decisions.QUEUED
        changing = decisions.next_action(seen) is decisions.Action.WAIT
        if not changing or queued != self._was_queued:
            self._since, self._was_queued = time.monotonic(), queued
        waited = time.monotonic() - self._since
        if queued and waited > 3600 * self._limits.queue_hours:
            raise GaveUp(f"no capacity for {self._limits.queue_hours:g} hours")
        return changing and not queued and waited > 60 * self._limits.change_minutes

    def create(self) -> str:
        """Orders the slice; returns why it was refused for now, "" if it wasn't.

        Raises:
          UserError: if it is refused for good.
        """
        self._say(f"ordering {self._plan.slice_type.name} in {self._plan.zone}")
        self.pending = True  # a command that fails may have done its work
        # Ended halfway it could still do it, unseen, after everything was given back.
        done = self._runner.run(self._plan.create(), to_the_end=True)
        if not done.code or "ALREADY_EXISTS" in done.error:
            return ""
        self.pending = decisions.will_pass(done.error)
        _refuse_unless_passing(done)
        return last_line(done)

    def delete(self) -> bool:
        """Gives the slice back; returns whether nothing is left of it."""
        for _ in range(_DELETE_ATTEMPTS):
            done = self._runner.run(self._plan.delete())
            if not done.code or decisions.is_missing(done.error):
                self.pending = False
                return True
            self._say(f"not given back yet: {last_line(done)}")
            self._runner.pause(2 * self._limits.poll_seconds)
        return False

    def _tell(self, seen: Slice) -> None:
        if str(seen) != self._shown:
            self._shown = str(seen)
            self._say(self._shown)


def last_line(done: Finished) -> str:
    """Returns the last thing that a command said."""
    lines = (done.error or done.output).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.code}"


def _refuse_unless_passing(done: Finished) -> None:
    if not decisions.will_pass(done.error):
        raise UserError(f"gcloud refused:\n{done.error}")
