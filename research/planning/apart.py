"""Makes a plan in a process of its own.

Compiling for a TPU keeps the JAX of its process on the CPU, and loads libtpu as
it is used without one: in a notebook, training would no longer find the
accelerator. Should the compiler abort, it takes its process with it.
"""

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence

from research.data.summary import Summary
from research.errors import UserError
from research.experiment import Experiment
from research.planning.options import Options
from research.planning.results import Plan
from research.planning.topologies import Topology

_COMMAND = "from research.planning import apart; apart.serve()"


def make_plan(
    experiment: Experiment,
    data: Summary,
    topologies: Sequence[Topology],
    options: Options,
    tell: Callable[[str], None],
) -> Plan:
    """Returns what `planner.make_plan` does, without loading JAX.

    Raises:
      UserError: as it does, or if the compiler ends its process.
    """
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    child = subprocess.Popen(
        [sys.executable, "-c", _COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    )
    try:
        with child.stdin:
            pickle.dump((experiment, data, topologies, options), child.stdin)
        while True:
            kind, value = pickle.load(child.stdout)
            if kind == "plan":
                return value
            if kind == "error":
                raise value
            tell(value)
    except (EOFError, BrokenPipeError):
        raise UserError(
            f"the compiler for TPUs ended its process (exit code {child.wait()}); what it said "
            "stands above. Leave out slices or options to find what it can't do"
        ) from None
    finally:
        child.kill()  # has said all it had to say, or is no longer listened to
        child.wait()
        child.stdout.close()


def serve() -> None:
    """Reads a request from standard input; writes what there is to tell, and the plan.

    Both are pickled, between two processes of the same program.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever waits for the plan ends this process
    request = pickle.load(sys.stdin.buffer)
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed must not come between them

    def send(kind: str, value: object) -> None:
        pickle.dump((kind, value), messages)
        messages.flush()

    from research.planning import compiler

    try:
        with compiler.offline():
            from research.planning import planner

            plan = planner.make_plan(*request, tell=lambda text: send("tell", text))
        send("plan", plan)
    except UserError as error:
        send("error", error)
    except Exception:
        send("error", RuntimeError(f"while planning:\n{traceback.format_exc()}"))
