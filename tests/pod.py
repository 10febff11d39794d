"""Several processes of launch.train on this machine, as hosts of a pod."""

import dataclasses
import os
import subprocess
import sys
import time

from tests.bucket import free_port

DEVICES = 8


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a process ended, and what it wrote."""

    code: int
    output: str
    errors: str


class Pod:
    """Processes that share the simulated devices; killed when the block ends."""

    def __init__(self, path, count: int, *arguments: str, only=None, **more: list[str]):
        """Starts them in a work directory.

        Args:
          path: the work directory.
          count: number of processes.
          *arguments: of all of them.
          only: indices of those that are started, all unless given.
          **more: arguments of one alone, such as `process_1=["--config.seed=1"]`.
        """
        port = free_port()
        self.processes = {}
        for index in range(count) if only is None else only:
            self.processes[index] = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "launch.train",
                    f"--workdir={path}",
                    f"--coordinator=127.0.0.1:{port}",
                    f"--num_processes={count}",
                    f"--process_id={index}",
                    *arguments,
                    *more.get(f"process_{index}", []),
                ],
                env={
                    **os.environ,
                    "JAX_PLATFORMS": "cpu",
                    "JAX_NUM_CPU_DEVICES": str(DEVICES // count),
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()

    def wait_for(self, text: str) -> None:
        """Returns when the first process has printed a line with this text."""
        for line in self.processes[0].stdout:
            if text in line:
                return
        raise AssertionError(f"process 0 never printed {text!r}")

    def end(self, timeout: float = 240) -> dict[int, Ended]:
        """Waits for all that run; returns how they ended, by index."""
        deadline = time.monotonic() + timeout
        ended = {}
        for index, process in self.processes.items():
            output, errors = process.communicate(timeout=deadline - time.monotonic())
            ended[index] = Ended(process.returncode, output, errors)
        return ended
