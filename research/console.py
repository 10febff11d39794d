"""What a run shows: a live line on a terminal, plain lines elsewhere."""

import contextlib
import sys
from typing import Any, TextIO

from tqdm import tqdm


class _Forgiving:
    """A text stream that drops what it can't write."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Console:
    """Prints messages, and the progress of a run.

    On a terminal progress is one live line below the messages; elsewhere it is
    a line of its own at every interval, so that logs can be read and searched.
    Where nobody can read it any more, as after a lost connection, the run goes on.
    """

    def __init__(self, stream: TextIO | None = None):
        """Prints to `stream`, standard output unless given."""
        self._stream = _Forgiving(stream or sys.stdout)
        self._bar: tqdm | None = None
        self._live = self._stream.isatty()

    def message(self, text: str) -> None:
        """Prints a message."""
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)

    def start(self, total_steps: int, first_step: int) -> None:
        """Begins to show the progress of a run that goes on after `first_step`."""
        if self._live:
            self._bar = tqdm(
                total=total_steps,
                initial=first_step,
                unit="step",
                file=self._stream,
                dynamic_ncols=True,
                smoothing=0.1,
            )

    def progress(
        self, step: int, total_steps: int, metrics: dict[str, float], pace: dict[str, float]
    ) -> None:
        """Shows how far the run is.

        Args:
          step: steps made.
          total_steps: steps of the whole run.
          metrics: "loss" and, where there are classes, "accuracy" of the last interval.
          pace: "steps_per_second", "examples_per_second" and "data_wait", the
            share of time spent on waiting for batches.
        """
        shown = [f"{name} {metrics[name]:.4f}" for name in ("loss", "accuracy") if name in metrics]
        examples = f"{pace['examples_per_second']:,.0f} examples/s"
        if self._bar is not None:
            self._bar.set_postfix_str(", ".join([*shown, examples]), refresh=False)
            self._bar.update(step - self._bar.n)
            return
        seconds_left = (total_steps - step) / pace["steps_per_second"]
        self.message(
            f"step {step}/{total_steps}  {'  '.join(shown)}  "
            f"{pace['steps_per_second']:,.1f} steps/s  {examples}  "
            f"data {pace['data_wait']:.1%}  ETA {tqdm.format_interval(seconds_left)}"
        )

    def stop(self) -> None:
        """Ends the live line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
