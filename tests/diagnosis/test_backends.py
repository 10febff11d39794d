"""Asking JAX what it sees, in this process and in another."""

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

from research.diagnosis import backends
from research.diagnosis.machine import ask


def test_jax_is_seen_as_it_is():
    seen = backends.look("cpu")
    assert seen["platform"] == "cpu" and seen["devices"][0]["kind"] == "cpu"


def test_the_program_prints_what_jax_sees():
    seen = ask([sys.executable, "-P", backends.__file__, "cpu"], 120)
    assert seen["platform"] == "cpu" and len(seen["devices"]) >= 1


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import os; os.abort()", ["it ended with exit code -6"]),
        ("raise ValueError('no')", ["it ended with exit code 1", "ValueError: no"]),
        ("print('{')", ["it ended with exit code 0"]),
    ],
)
def test_a_program_that_dies_is_told(program, said):
    assert ask([sys.executable, "-c", program], 60) == {**backends.NOTHING, "said": said}


def test_a_program_that_hangs_is_given_up():
    (said,) = ask([sys.executable, "-c", "import time; time.sleep(60)"], 0.3)["said"]
    assert "no answer within 0.3 s" in said


@pytest.mark.skipif(bool(list(pathlib.Path("/dev").glob("accel[0-9]*"))), reason="has a TPU")
def test_a_platform_that_cannot_be_had_leaves_jax_free_to_use_another():
    program = textwrap.dedent("""
        import jax
        from research.diagnosis.backends import look
        seen = look("tpu")
        assert seen["platform"] == "" and "'tpu'" in seen["said"][-1], seen
        assert not jax.config.jax_platforms, jax.config.jax_platforms
        assert look("cpu")["platform"] == "cpu"
    """)
    environ = {name: value for name, value in os.environ.items() if name != "JAX_PLATFORMS"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
