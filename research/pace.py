"""How fast a run goes, and how much of the time it waits for data."""

import contextlib
import time
from collections.abc import Iterator


class Pace:
    """Measures steps per second between two readings, without pauses."""

    def __init__(self, global_batch_size: int):
        self._global_batch_size = global_batch_size
        self._begin()
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
        self._paused += time.perf_counter() - start

    @contextlib.contextmanager
    def data(self) -> Iterator[None]:
        """What happens within is preparing a batch for one step."""
        start = time.perf_counter()
        yield
        self._data_seconds += time.perf_counter() - start
        self._steps += 1

    def read(self) -> dict[str, float]:
        """Returns the pace since the last reading, and begins anew.

        Keys: "steps_per_second", "examples_per_second", "data_wait" (a share).
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
