"""The life of a slice: ordered, set up, trained on, replaced when taken away, given back."""

from collections.abc import Callable

from launch import cli
from launch.cloud import decisions
from launch.cloud.commands import Plan
from launch.cloud.decisions import Action, Outcome, Slice
from launch.cloud.hosts import Hosts
from launch.cloud.orders import GaveUp, Limits, Orders
from launch.cloud.runner import Interrupted, Runner
from research.errors import UserError

_FAILED = 1
_SETUPS = 3  # what fails so often in a row fails always, while the slice costs
_LOOKS_AFTER_FAILURE = 3


class Lifecycle:
    """Trains on one slice after the other until training is done, or fails by itself."""

    def __init__(
        self, plan: Plan, limits: Limits, runner: Runner, keep: bool, say: Callable[[str], None]
    ):
        """Tells what it does with `say`; `keep` leaves the slice alone at the end."""
        self._plan, self._limits, self._runner = plan, limits, runner
        self._keep, self._say = keep, say
        self._orders = Orders(plan, limits, runner, say)
        self._hosts = Hosts(plan, limits, runner, say)
        self._retries = 0  # of all that the limit counts
        self._failures = 0  # in a row, without training in between
        self._renew()

    def _renew(self) -> None:
        """Forgets the slice that was."""
        self._ready = self._training = False
        self._setups = 0
        self._attempt = 1
        self._codes: dict[int, int] = {}  # host -> exit code, in the order of their ends

    def run(self) -> int:
        """Returns the launcher's exit code, having given the slice back.

        Raises:
          UserError: if something has to be mended first.
        """
        code = _FAILED
        try:
            self._hosts.pack()
            code = self._until_done()
        except Interrupted as reason:
            self._leave(str(reason))
            code = cli.STOPPED
        except GaveUp as reason:
            self._say(f"{reason}. The same command goes on from the last checkpoint")
            code = cli.STOPPED
        finally:
            self._runner.ignore_stop()
            if self._orders.pending and not self._give_back() and code == cli.SUCCESS:
                code = _FAILED
        return code

    def _until_done(self) -> int:
        while True:
            seen = self._orders.look()
            action = decisions.next_action(seen)
            if self._orders.overdue(seen) or action is Action.DELETE:
                self._replace(seen)
            elif action is Action.WAIT:
                self._runner.pause(self._limits.poll_seconds)
            elif action is Action.CREATE:
                if refusal := self._orders.create():
                    self._retry(f"refused for now: {refusal}")
            elif self._ready or self._set_up(seen):
                code = self._train(seen)
                if code is not None:
                    return code

    def _replace(self, seen: Slice) -> None:
        because = f": {seen.reason}" if seen.reason else ""
        if seen.reason and not decisions.will_pass(seen.reason, seen.code):
            raise UserError(f"the order for {self._plan.slice_type.name} failed{because}")
        self._say(f"{seen}{because}: giving back what is left")
        if not self._orders.delete():
            raise GaveUp("What is left of it can't be given back, and a new one not be ordered")
        self._renew()
        self._retry("it is ordered again")

    def _set_up(self, seen: Slice) -> bool:
        trouble = self._hosts.set_up(seen.hosts)
        self._ready = not trouble
        self._setups = self._setups + 1 if trouble else 0
        if trouble and not self._is_lost():
            if self._setups == _SETUPS:
                raise UserError(f"{trouble}, {_SETUPS} times in a row; see above")
            self._retry(trouble)
        return self._ready

    def _train(self, seen: Slice) -> int | None:
        """Returns the exit code to leave with; None if training is to go on."""
        self._training = True
        self._failures = 0
        self._hosts.train(self._attempt, self._codes, self._why_lost)
        verdict = decisions.judge(self._codes, seen.hosts)
        self._training = len(self._codes) < seen.hosts
        self._ready = not self._hosts.silent  # setting up ends what hangs on a silent host
        if verdict.outcome is Outcome.DONE:
            self._say("training is done")
            return cli.SUCCESS
        if verdict.outcome is Outcome.DISCONNECTED:
            if not self._is_lost():
                # Hosts that still train are joined, as it is the same attempt.
                self._retry("the connection to the hosts was lost")
            return None
        failed = verdict.outcome is Outcome.FAILED
        if failed and (verdict.certain or not self._is_lost(patient=True)):
            self._say(f"host {verdict.host} failed first, with exit code {verdict.code}")
            return verdict.code
        self._attempt += 1
        self._codes = {}
        if verdict.outcome is Outcome.STOPPED and not self._is_lost():
            self._retry("training stopped and saved")
        return None

    def _why_lost(self) -> str:
        answer = self._orders.ask()
        lost = isinstance(answer, Slice) and decisions.is_lost(answer)
        return f"the slice is lost ({answer})" if lost else ""

    def _is_lost(self, patient: bool = False) -> bool:
        """Returns whether the slice can't be used; with patience, as that takes a while to show."""
        for i in range(_LOOKS_AFTER_FAILURE if patient else 1):
            if i:
                self._runner.pause(self._limits.poll_seconds)
            if decisions.next_action(self._orders.look()) is not Action.TRAIN:
                return True
        return False

    def _retry(self, reason: str) -> None:
        self._retries += 1
        self._failures += 1
        if self._retries > self._limits.retries:
            raise GaveUp(f"{reason}; --retries={self._limits.retries} are used up")
        seconds = decisions.pause_seconds(self._failures, self._limits.poll_seconds)
        self._say(f"{reason}; retry {self._retries} of {self._limits.retries} in {seconds:g} s")
        self._runner.pause(seconds)

    def _leave(self, reason: str) -> None:
        self._say(f"{reason}: leaving; after a second Ctrl-C the slice would stay and cost on")
        self._runner.ignore_stop()
        if self._training and not self._keep:
            self._hosts.stop()

    def _give_back(self) -> bool:
        step = self._plan.delete()
        if self._keep:
            self._say(f"the slice stays and costs on, until\n{step}")
            return True
        self._say(step.purpose)
        if self._orders.delete():
            return True
        self._say(f"THE SLICE COULD NOT BE GIVEN BACK AND MAY COST ON. Try again:\n{step}")
        return False
