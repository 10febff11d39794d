"""How the processes of a run find each other, at its start."""

import dataclasses
import os
import socket
import threading
import time

import jax

from research import remote
from research.errors import LostProcessError, UserError, first_line
from research.processes import PATIENCE
from research.workdir import open_workdir


@dataclasses.dataclass(frozen=True)
class Cluster:
    """How the processes of a run find each other.

    Attributes:
      coordinator: "host:port" of the first process; "" lets JAX ask the
        environment (Cloud TPU, GKE, Slurm, Open MPI).
      count: number of processes; 0 with no coordinator.
      index: which of them this is.
      patience: seconds to wait for the others to join.
      heartbeat: seconds of silence after which a process counts as lost, and
        the others end.
    """

    coordinator: str = ""
    count: int = 0
    index: int = 0
    patience: float = PATIENCE
    heartbeat: float = 60.0


def join(cluster: Cluster, workdir: str) -> None:
    """Connects this process with the others; to be called before JAX is used.

    Args:
      cluster: who they are.
      workdir: the work directory, which all of them see; each signs there, so
        that the others can say who is missing.

    Raises:
      UserError: if they don't all come in time, with those that haven't, or
        the environment does not say who they are.
    """
    roll = open_workdir(workdir).roll
    # From now on SIGTERM is JAX's: its preemption service lets all processes
    # stop after the same step.
    jax.config.update("jax_enable_preemption_service", True)
    given = {}
    if cluster.coordinator:
        given = {
            "coordinator_address": cluster.coordinator,
            "num_processes": cluster.count,
            "process_id": cluster.index,
        }
    failures: list[Exception] = []

    def connect():
        try:
            jax.distributed.initialize(
                **given,
                # When JAX's own patience is at its end it ends the process.
                initialization_timeout=int(cluster.patience) + 3600,
                heartbeat_timeout_seconds=int(cluster.heartbeat),
            )
        except Exception as error:  # handed over to the caller's thread
            failures.append(error)

    connecting = threading.Thread(target=connect, daemon=True)
    connecting.start()
    deadline = time.monotonic() + cluster.patience
    while connecting.is_alive() and time.monotonic() < deadline:
        if cluster.coordinator:
            _sign(roll, cluster.index)
        connecting.join(1.0)
    if connecting.is_alive():
        raise LostProcessError(
            f"not all processes joined the run within {cluster.patience:.0f} s"
            f"{_missing(roll, cluster)}. Start all of them with the same command, but for "
            f"--process_id, and see that they reach {cluster.coordinator or 'each other'}"
        )
    if failures:
        raise UserError(
            f"the processes of the run can't be connected: {first_line(failures[0])}\n"
            "Where the environment does not say who they are, give --coordinator, "
            "--num_processes and --process_id"
        )


def _sign(roll: remote.Path, index: int) -> None:
    roll.mkdir(exist_ok=True)
    (roll / str(index)).write_text(f"{os.getpid()} on {socket.gethostname()}\n")


def _missing(roll: remote.Path, cluster: Cluster) -> str:
    """Names the processes that have not signed lately: those that wait sign every second."""
    signed = {path.name: remote.written_at(path) for path in roll.glob("*")}
    latest = signed.get(str(cluster.index), 0.0) - 10
    absent = [str(i) for i in range(cluster.count) if signed.get(str(i), 0.0) < latest]
    return f"; missing: process {', '.join(absent)} of {cluster.count}" if absent else ""
