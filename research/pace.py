"""How fast a run goes, and how much of the time it waits for data."""

import contextlib
import time
from collections.abc import Callable, Iterator


class Pace:
    """Measures steps per second between two readings, without pauses."""

    def __init__(self, global_batch_size: int):
        self._global_batch_size = global_batch_size
        self._begin()
        self._made_at = self._start
        self._step_seconds = 1.0  # a guess that is soon corrected
        self._last = self._rates(0, 1.0, 0.0)
        self.total_steps = 0
        self.total_seconds = 0.0
        self._total_data_seconds = 0.0

    def _begin(self) -> None:
        self._start = time.perf_counter()
        self._paused = 0.0
        self._data_seconds = 0.0
        self._steps = 0

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """What happens within (evaluation, saving) does not count."""
        start = time.perf_counter()
        yield
        self._made_at = time.perf_counter()
        self._paused += self._made_at - start

    @contextlib.contextmanager
    def data(self, waiting: Callable[[], bool]) -> Iterator[None]:
        """What happens within prepares data, while which the devices may be at work.

        Args:
          waiting: whether the devices are at work no more.
        """
        start = time.perf_counter()
        yield
        if waiting():
            self._data_seconds += time.perf_counter() - start

    def made(self, steps: int) -> None:
        """Counts steps that the devices have made."""
        self._steps += steps
        now = time.perf_counter()
        # Not at once to many more: the first steps on a device are not like the others.
        self._step_seconds = max((now - self._made_at) / steps, self._step_seconds / 4)
        self._made_at = now

    def steps_within(self, seconds: float) -> int:
        """Returns how many steps the devices make in about that time, at least 1."""
        return max(1, int(seconds / self._step_seconds))

    def read(self) -> dict[str, float]:
        """Returns the pace since the last reading, and begins anew.

        Keys: "steps_per_second", "examples_per_second", "data_wait" (the
        share of time for which the devices, at most, waited for data).
        Read twice after the same step, it gives the same again.
        """
        if not self._steps:
            return self._last
        seconds = max(time.perf_counter() - self._start - self._paused, 1e-9)
        self.total_steps += self._steps
        self.total_seconds += seconds
        self._total_data_seconds += self._data_seconds
        self._last = self._rates(self._steps, seconds, self._data_seconds)
        self._begin()
        return self._last

    def overall(self) -> dict[str, float]:
        """Returns the pace over all readings, with the keys of `read`."""
        return self._rates(
            self.total_steps, max(self.total_seconds, 1e-9), self._total_data_seconds
        )

    def _rates(self, steps: int, seconds: float, data_seconds: float) -> dict[str, float]:
        return {
            "steps_per_second": max(steps, 1e-9) / seconds,
            "examples_per_second": steps * self._global_batch_size / seconds,
            "data_wait": data_seconds / seconds,
        }
