"""What to do next, as functions of what was seen. Nothing here touches the world.

States of a queued resource and of a node:
https://cloud.google.com/tpu/docs/queued-resources,
https://cloud.google.com/tpu/docs/reference/rest/v2/projects.locations.nodes.
"""

import dataclasses
import enum
import json
import re
from collections.abc import Mapping

from launch import cli

QUEUED = ("CREATING", "ACCEPTED", "WAITING_FOR_RESOURCES")
"""The order waits for capacity; nothing is paid yet."""

_CHANGING = ("STATE_UNSPECIFIED", "PROVISIONING", "SUSPENDING", "DELETING")
_NODE_CHANGING = (
    "STATE_UNSPECIFIED",
    "CREATING",
    "STARTING",
    "RESTARTING",
    "REIMAGING",
    "REPAIRING",
    "UNHIDING",
)
# google.rpc.Code: CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED,
# INTERNAL, UNAVAILABLE; 0 where the cloud gave none.
_PASSING_CODES = (0, 1, 2, 4, 8, 10, 13, 14)
_PASSING = re.compile(
    r"RESOURCE_EXHAUSTED|no more capacity|Insufficient|quota|rateLimitExceeded|\b429\b|"
    r"UNAVAILABLE|\b50[0234]\b|INTERNAL|internal error|DEADLINE_EXCEEDED|ABORTED|"
    r"try again|timed? ?out|no answer within|connection|network is unreachable|resolve",
    re.IGNORECASE,
)
_NO_QUOTA_AT_ALL = re.compile(r"quota.*\blimit: 0(\.0)?\b", re.IGNORECASE | re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Slice:
    """What the cloud says of the slice.

    Attributes:
      order: state of the queued resource; "" if there is none.
      node: state of its node; "" if there is none, or it was not asked for.
      hosts: how many hosts the node has.
      reason: the cloud's words where the order failed.
      code: google.rpc.Code of that failure; 0 if unknown.
    """

    order: str = ""
    node: str = ""
    hosts: int = 0
    reason: str = ""
    code: int = 0

    def __str__(self) -> str:
        node = f", node {self.node or 'gone'}" if self.order == "ACTIVE" else ""
        return f"{self.order or 'nothing is ordered'}{node}"


class Action(enum.Enum):
    """What the state of the slice asks for."""

    CREATE = enum.auto()
    WAIT = enum.auto()
    TRAIN = enum.auto()
    DELETE = enum.auto()


def next_action(seen: Slice) -> Action:
    """Returns what to do about the slice as it is."""
    if not seen.order:
        return Action.CREATE
    if seen.order in QUEUED + _CHANGING:
        return Action.WAIT
    if seen.order == "ACTIVE" and seen.node == "READY":
        return Action.TRAIN
    if seen.order == "ACTIVE" and seen.node in _NODE_CHANGING:
        return Action.WAIT
    return Action.DELETE  # suspended, failed, or its node is gone or preempted


def is_lost(seen: Slice) -> bool:
    """Returns whether training can't go on, because the slice it ran on is gone."""
    return next_action(seen) is not Action.TRAIN and seen.node not in _NODE_CHANGING


class Outcome(enum.Enum):
    """How an attempt to train ended."""

    DONE = enum.auto()
    STOPPED = enum.auto()  # with the state saved; it may go on
    DISCONNECTED = enum.auto()  # not all hosts told how they ended
    FAILED = enum.auto()


@dataclasses.dataclass(frozen=True)
class Verdict:
    """How an attempt ended.

    Attributes:
      outcome: in one word.
      code: exit code of the host that failed first.
      host: its number.
      certain: whether the failure is the program's own. A host that is taken away
        makes the others crash, too, before the cloud says so.
    """

    outcome: Outcome
    code: int = cli.SUCCESS
    host: int = 0
    certain: bool = True


def judge(codes: Mapping[int, int], hosts: int) -> Verdict:
    """Judges an attempt by the exit codes of launch.train.

    Args:
      codes: number of a host -> exit code, in the order in which they ended.
      hosts: how many there are.
    """
    failures = {
        host: code for host, code in codes.items() if code not in (cli.SUCCESS, cli.STOPPED)
    }
    if failures:
        # The first one tells why: without it the others end, too, with other codes.
        host, code = next(iter(failures.items()))
        agreed = len(codes) == hosts and set(codes.values()) == {code}
        certain = agreed and code in (cli.BAD_INPUT, cli.DIVERGED)
        return Verdict(Outcome.FAILED, code, host, certain)
    if len(codes) < hosts:
        return Verdict(Outcome.DISCONNECTED)
    if cli.STOPPED in codes.values():
        return Verdict(Outcome.STOPPED)
    return Verdict(Outcome.DONE)


def will_pass(text: str, code: int = 0) -> bool:
    """Returns whether a refusal of the cloud may end by waiting: capacity, quota in use, faults.

    Args:
      text: the cloud's words.
      code: google.rpc.Code, 0 if unknown.
    """
    if _NO_QUOTA_AT_ALL.search(text):
        return False
    return bool(_PASSING.search(text)) or (bool(code) and code in _PASSING_CODES)


def is_missing(text: str) -> bool:
    """Returns whether gcloud says that there is no such resource."""
    return "NOT_FOUND" in text or "was not found" in text


def order_from(text: str) -> Slice:
    """Reads the JSON of `queued-resources describe`."""
    state = json.loads(text).get("state", {})
    error = state.get("failedData", {}).get("error", {})
    return Slice(
        order=state.get("state", "STATE_UNSPECIFIED"),
        reason=error.get("message", ""),
        code=error.get("code", 0),
    )


def with_node(order: Slice, text: str) -> Slice:
    """Adds the JSON of `tpu-vm describe` to what is known."""
    node = json.loads(text)
    return dataclasses.replace(
        order,
        node=node.get("state", "STATE_UNSPECIFIED"),
        hosts=len(node.get("networkEndpoints", ())),
    )


def pause_seconds(failures: int, first: float) -> float:
    """Returns how long to wait after so many failures in a row: doubling, at most 32 times."""
    return first * 2 ** min(failures - 1, 5) if failures else 0.0
