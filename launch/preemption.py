"""The notice that Google Cloud is about to take a machine away.

A spot machine is stopped 30 seconds after the notice, a TPU that is maintained
an hour after it. The machine's metadata server gives it:
https://cloud.google.com/compute/docs/instances/preemptible and
https://cloud.google.com/compute/docs/metadata/getting-live-migration-notice
"""

import os
import pathlib
import threading
import time
from collections.abc import Callable

SERVER = "metadata.google.internal"
NOTICES = {"preempted": "TRUE", "maintenance-event": "TERMINATE_ON_HOST_MAINTENANCE"}
"""Key of the metadata -> the value that announces the end."""

PRODUCT_NAME = pathlib.Path("/sys/class/dmi/id/product_name")
INTERVAL = 5.0
"""Seconds between two questions."""


def watch(request: Callable[[str], None], interval: float = INTERVAL) -> bool:
    """Calls `request` with a reason once notice is given; in a thread of its own.

    Elsewhere than on Google Cloud nothing is asked and no network touched.

    Args:
      request: such as `StopRequest.request`.
      interval: seconds between two questions.

    Returns:
      Whether there is a server to ask.
    """
    server = os.environ.get("GCE_METADATA_HOST") or (_is_google() and SERVER)
    if server:
        threading.Thread(target=_watch, args=(server, request, interval), daemon=True).start()
    return bool(server)


def _is_google() -> bool:
    try:
        return PRODUCT_NAME.read_text().startswith("Google")
    except OSError:
        return False


def _watch(server: str, request: Callable[[str], None], interval: float) -> None:
    import urllib.request

    # The server is on the machine itself, whatever proxy leads to the internet.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.addheaders = [("Metadata-Flavor", "Google")]
    while True:
        for key, announcement in NOTICES.items():
            url = f"http://{server}/computeMetadata/v1/instance/{key}"
            try:
                with opener.open(url, timeout=interval) as answer:
                    value = answer.read(1000).decode(errors="replace").strip()
            except OSError:  # asked again soon
                continue
            if value == announcement:
                request(f"the notice {key}={value}")
                return
        time.sleep(interval)
