"""SIGTERM, and whatever else asks a run to stop, in every phase of it."""

import functools
import os
import pathlib
import signal
import subprocess
import sys
import time

from launch import cli
from tests.faults import common

PHASES = ("import", "data", "compile", "train", "eval", "save", "commit")
REASONS = ("SIGINT", "SIGHUP", "notice", "max_minutes", "SIGINT twice")

SAVED, LEFT = "saved and left with code 75", "left at once with code 130"


def sigterm_matrix(folder: pathlib.Path, phases=PHASES) -> common.Table:
    """Stops a run by SIGTERM in each phase, resumes it, and compares the result."""
    table = common.Table("SIGTERM in every phase")
    slowest = 0.0
    for phase in phases:
        path = folder / phase
        if phase == "import":
            code = stopped_while_importing(path)
            table.demand(code == cli.STOPPED, SAVED, f"{phase}: code {code}")
        else:
            ended = common.finish(path, fault=functools.partial(send, phase, signal.SIGTERM))
            table.demand(ended.code == cli.STOPPED, SAVED, f"{phase}: {ended}")
            slowest = max(slowest, ended.seconds)
        common.resume(table, path, "resumed, same result")
    table.note = f"ended at most {slowest:.0f} s after the start"
    return table


def other_reasons(folder: pathlib.Path, reasons=REASONS) -> common.Table:
    """Stops a run in the other ways there are."""
    table = common.Table("other reasons to stop")
    for reason in reasons:
        path = folder / reason.replace(" ", "-")
        fault, promised, code, overrides = {
            "SIGINT": (functools.partial(send, "train", signal.SIGINT), "SIGINT", 75, ()),
            "SIGHUP": (functools.partial(send, "eval", signal.SIGHUP), "SIGHUP", 75, ()),
            "SIGINT twice": (send_twice, "", cli.INTERRUPTED, ()),
            "notice": (be_preempted, "the notice preempted=TRUE", 75, ()),
            "max_minutes": (None, "--max_minutes", 75, ("--max_minutes=0.0001",)),
        }[reason]
        ended = common.finish(path, *overrides, fault=fault)
        said = f"stopped by {promised}" if promised else ""
        table.demand(
            ended.code == code and said in ended.output,
            SAVED if code == cli.STOPPED else LEFT,
            f"{reason}: {ended}",
        )
        common.resume(table, path, "resumed, same result")
    return table


def send(phase: str, *numbers: signal.Signals, pause: float = 0.0) -> None:
    """Has this process send itself signals in a phase of the run to come, then sleep (seconds)."""
    import research.checkpoints
    import research.evaluation
    import research.training

    module, name, count = {
        "data": (research.training, "open_dataset", 1),
        "compile": (research.training, "compile_train_steps", 1),
        "train": (research.training.Run, "_advance", 3),
        "eval": (research.evaluation, "evaluate", 1),
        "save": (research.checkpoints.Checkpoints, "save", 2),
        "commit": (research.checkpoints.manifest, "write", 2),
    }[phase]
    original, calls = getattr(module, name), []

    def disturbed(*args, **kwargs):
        calls.append(name)
        if len(calls) == count:
            for number in numbers:
                os.kill(os.getpid(), number)
            time.sleep(pause)
        return original(*args, **kwargs)

    setattr(module, name, disturbed)


def send_twice() -> None:
    """SIGINT twice within an evaluation: it leaves at once."""
    send("eval", signal.SIGINT, signal.SIGINT)


def be_preempted() -> None:
    """Lets a metadata server announce that this machine is taken away."""
    import http.server
    import threading

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"TRUE")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["GCE_METADATA_HOST"] = f"127.0.0.1:{server.server_port}"


def stopped_while_importing(path: pathlib.Path, *arguments: str) -> int:
    """Returns the exit code of a run whose process gets SIGTERM when it begins to import JAX."""
    script = """
import os, signal, sys

class Notice:
    def find_spec(self, name, path=None, target=None):
        if name == "jax":
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Notice())
from launch import cli, train
cli.run(train.main)
"""
    command = [sys.executable, "-c", script, f"--workdir={path}", *common.OVERRIDES, *arguments]
    return subprocess.run(command, capture_output=True).returncode
