"""Contenders in processes of their own, which take turns: A B C A B C."""

import atexit
import contextlib
import multiprocessing
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from research.errors import UserError, first_line

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]

Turn = Callable[[], float]
"""Takes a turn; returns its figure."""

Units = Callable[[int], float | None]
"""Does so many units of work; returns the seconds that count, where not all of them do."""

FEW = 100
"""Units of a short run."""


class Options(NamedTuple):
    """How much is measured.

    Attributes:
      turns: of each contender.
      seconds: of a turn in which units of work are counted, about.
      works: names of `benchmarks.work.WORKS`.
      contenders: parts of names; who has none of them does not take part. () is all.
    """

    turns: int
    seconds: float
    works: tuple[str, ...]
    contenders: tuple[str, ...] = ()


class Measured(NamedTuple):
    """What was measured of a contender.

    Attributes:
      figures: one of each turn.
      peak_bytes: the most memory that its process has had.
      failed: why it could not be measured, "" if it was.
      absent: whether that is because a package is not installed.
    """

    figures: list[float]
    peak_bytes: int = 0
    failed: str = ""
    absent: bool = False

    @property
    def median(self) -> float:
        """The median of the turns."""
        return statistics.median(self.figures)

    def times(self, factor: float) -> "Measured":
        """Returns the same in other units."""
        return self._replace(figures=[factor * figure for figure in self.figures])


def figures(contenders: Mapping[str, Callable[[], Turn]], options: Options) -> dict[str, Measured]:
    """Lets contenders take turns that give a figure each.

    Args:
      contenders: name -> what prepares it, in its process, and returns how it takes
        a turn; to be pickled.
      options: how many turns there are, and whose.
    """
    return _compete(contenders, options, lambda player: player.ask)


def rates(contenders: Mapping[str, Callable[[], Units]], options: Options) -> dict[str, Measured]:
    """Lets contenders work in turn; the figures are units of work per second.

    A turn is the difference between a run of many units and one of few, so that
    what happens once, such as compiling and reporting, does not count.

    Args:
      contenders: name -> what prepares it, in its process, and returns how it does
        units of work; to be pickled.
      options: how many turns there are, of how many seconds, and whose.
    """

    def begin(player: Player) -> Turn:
        player.ask(FEW)  # which compiles
        few, many = player.ask(FEW), FEW
        while player.ask(FEW + many) - few < options.seconds / 2:
            many *= 2

        def turn() -> float:
            few = player.ask(FEW)
            more = player.ask(FEW + many) - few
            # Where something else has delayed the short run, nothing was measured.
            return many / more if more > 0 else turn()

        return turn

    return _compete(contenders, options, begin)


def seconds_until(
    seen: Callable[[str], bool], command: list[str], environment: Mapping[str, str] | None = None
) -> float:
    """Returns the seconds from the start of a command to a line that it prints; ends it then.

    Raises:
      RuntimeError: if it ends before, with its last words.
    """
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-u", *command],
        cwd=CHECKOUT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            line = ""
            for line in process.stdout:
                if seen(line):
                    return time.perf_counter() - begun
            raise RuntimeError(f"{' '.join(command)} ended: {line.strip()}")
        finally:
            process.kill()


def scratch() -> pathlib.Path:
    """Returns a new folder, which goes when this process ends."""
    folder = tempfile.mkdtemp(prefix="hanok-benchmarks-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return pathlib.Path(folder)


class Failed(Exception):
    """A contender failed; the message says why."""

    def __init__(self, reason: str, absent: bool = False):
        super().__init__(reason)
        self.absent = absent


class Player:
    """A contender in its process, in which functions take some arguments and give a number."""

    def __init__(self, prepare: Callable[[], Callable[..., float | None]]):
        """Starts it; it prepares itself and waits for its turn."""
        self._pipe, theirs = multiprocessing.Pipe()
        # Fresh ones: nothing that one contender has done reaches another.
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_play, args=(theirs, prepare))
        self._process.start()
        theirs.close()

    def ask(self, *arguments: Any) -> float:
        """Returns what it answers, or the seconds that it took where it answers nothing.

        Raises:
          Failed: if it could not.
        """
        return self._answer("call", *arguments)

    def peak_bytes(self) -> int:
        """Returns the most memory that its process has had."""
        return self._answer("memory")

    def _answer(self, *question: Any) -> Any:
        self._pipe.send(question)
        try:
            answer = self._pipe.recv()
        except EOFError as error:
            raise Failed("its process ended") from error
        if isinstance(answer, Failed):
            raise answer
        return answer

    def __enter__(self) -> "Player":
        return self

    def __exit__(self, *_) -> None:
        self._pipe.close()  # after which it ends by itself, with the processes that it started
        self._process.join(10)
        self._process.kill()


def _compete(
    contenders: Mapping[str, Callable], options: Options, begin: Callable[[Player], Turn]
) -> dict[str, Measured]:
    found: dict[str, Measured] = {}
    ready: dict[str, tuple[Player, Turn]] = {}

    @contextlib.contextmanager
    def heard(name: str) -> Iterator[None]:
        try:
            yield
        except Failed as error:
            found[name] = Measured([], failed=str(error), absent=error.absent)
            ready.pop(name, None)

    with contextlib.ExitStack() as stack:
        for name, prepare in contenders.items():
            if options.contenders and not any(part in name for part in options.contenders):
                continue
            found[name] = Measured([])
            player = stack.enter_context(Player(prepare))
            with heard(name):
                ready[name] = player, begin(player)
        for _ in range(options.turns):
            for name, (_, turn) in list(ready.items()):
                with heard(name):
                    found[name].figures.append(turn())
        for name, (player, _) in list(ready.items()):
            with heard(name):
                found[name] = found[name]._replace(peak_bytes=player.peak_bytes())
    return found


def _play(pipe: Connection, prepare: Callable[[], Callable[..., float | None]]) -> None:
    function = None
    while True:
        try:
            question, *arguments = pipe.recv()
        except EOFError:
            return
        try:
            function = function or prepare()
            if question == "memory":
                answer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            else:
                begun = time.perf_counter()
                answer = function(*arguments)
                answer = time.perf_counter() - begun if answer is None else answer
        except Exception as error:
            absent = isinstance(error, ModuleNotFoundError)
            if not absent and not isinstance(error, UserError):
                traceback.print_exc()
            answer = Failed(first_line(error), absent)
        pipe.send(answer)
