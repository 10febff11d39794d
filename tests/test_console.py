"""Progress: a live line on a terminal, plain lines elsewhere."""

import io

import pytest

from research.console import Console

METRICS = {"loss": 0.5, "accuracy": 0.75}
PACE = {"steps_per_second": 10.0, "examples_per_second": 640.0, "data_wait": 0.25}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def show(stream):
    console = Console(stream)
    console.message("before")
    console.start(total_steps=100, first_step=20)
    console.progress(40, 100, METRICS, PACE)
    console.message("between")
    console.stop()
    return stream.getvalue()


def test_elsewhere_every_interval_is_a_line_of_its_own():
    assert show(io.StringIO()) == (
        "before\n"
        "step 40/100  loss 0.5000  accuracy 0.7500  10.0 steps/s  640 examples/s  "
        "data 25.0%  ETA 00:06\n"
        "between\n"
    )


@pytest.mark.parametrize("expected", ["40/100", "loss 0.5000", "accuracy 0.7500", "640 examples/s"])
def test_a_terminal_shows_one_live_line(expected):
    shown = show(Terminal())
    assert expected in shown.split("\r")[-2] + shown.split("\r")[-1]
    assert "between\n" in shown


@pytest.mark.parametrize("live", [False, True])
def test_a_terminal_that_is_gone_does_not_end_the_run(live):
    class Gone(io.StringIO):
        def isatty(self):
            return live

        def write(self, text):
            raise OSError("Input/output error")

    assert show(Gone()) == ""
