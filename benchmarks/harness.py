"""Contenders in processes of their own, which take turns."""

import multiprocessing
import resource
import statistics
import time
import traceback
from multiprocessing.connection import Connection
from typing import NamedTuple

from benchmarks.contenders import CONTENDERS
from benchmarks.work import WORKS


class Measured(NamedTuple):
    """What was measured of a contender.

    Attributes:
      rates: steps per second of each turn.
      peak_bytes: the most memory that its process has had.
      failed: why it could not be measured, "" if it was.
    """

    rates: list[float]
    peak_bytes: int
    failed: str = ""

    @property
    def median(self) -> float:
        """The median of the turns."""
        return statistics.median(self.rates)


class Player:
    """A contender in its process."""

    def __init__(self, work: str, contender: str):
        """Starts it; it prepares itself and waits for its turn."""
        self._pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_play, args=(theirs, work, contender), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, *question) -> float | int:
        """Returns its answer.

        Raises:
          RuntimeError: if it failed, with its traceback.
        """
        self._pipe.send(question)
        try:
            answer = self._pipe.recv()
        except EOFError as error:
            raise RuntimeError("its process ended") from error
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer

    def end(self) -> None:
        """Ends its process."""
        self._pipe.close()
        self._process.kill()
        self._process.join()


def compete(work: str, names: list[str], turns: int, seconds: float) -> dict[str, Measured]:
    """Lets contenders make steps in turn, A B C A B C, and measures them.

    A turn is the difference between a run of many steps and one of few, so that
    what happens once, such as compiling and reporting, does not count.

    Args:
      work: a name of `WORKS`.
      names: of `CONTENDERS`.
      turns: how many each has.
      seconds: how long one takes, about.
    """
    result = {}
    players = {}
    for name in names:
        players[name] = player = Player(work, name)
        try:
            player.ask("time", FEW)  # which compiles
            few, many = player.ask("time", FEW), FEW
            while player.ask("time", FEW + many) - few < seconds / 2:
                many *= 2
            result[name] = Measured([], 0), many
        except RuntimeError as error:
            result[name] = Measured([], 0, str(error).strip().splitlines()[-1]), 0
    for _ in range(turns):
        for name, (measured, many) in result.items():
            if not measured.failed:
                few = players[name].ask("time", FEW)
                taken = players[name].ask("time", FEW + many)
                measured.rates.append(many / (taken - few))
    ended = {}
    for name, (measured, _) in result.items():
        if not measured.failed:
            measured = measured._replace(peak_bytes=players[name].ask("memory"))
        ended[name] = measured
        players[name].end()
    return ended


FEW = 100
"""Steps of a short run."""


def _play(pipe: Connection, work: str, contender: str) -> None:
    try:
        steps = CONTENDERS[contender](WORKS[work])
    except Exception:
        pipe.recv()
        pipe.send(traceback.format_exc())
        return
    while True:
        try:
            question, *values = pipe.recv()
        except EOFError:
            return
        try:
            if question == "memory":
                pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
                continue
            begun = time.perf_counter()
            steps(*values)
            pipe.send(time.perf_counter() - begun)
        except Exception:
            pipe.send(traceback.format_exc())
