"""What JAX sees of the machine's devices, and what it says where it sees none.

Also a program that prints this as JSON: a driver that hangs or crashes then
takes only that process with it, and the devices are free again when it ends.
"""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

BACKENDS = {"tpu": "tpu,cpu", "gpu": "cuda,cpu", "cpu": "cpu"}
"""Platform -> the backends that JAX is to start; the first is the one that it uses."""

NOTHING: dict[str, Any] = {"platform": "", "devices": [], "said": []}
"""What is seen while JAX has not been asked."""


def look(platform: str = "") -> dict[str, Any]:
    """Has JAX start its backends, and tells what it sees.

    Args:
      platform: "tpu", "gpu" or "cpu" to have JAX use this one and no other, unless
        $JAX_PLATFORMS says something else; "" leaves the choice to JAX. If it
        can't be had, JAX is left free to choose another one later.

    Returns:
      "platform": "tpu", "gpu" or "cpu", "" if JAX failed;
      "devices": of each device its "kind" and, where it tells, "bytes_limit"
      and "bytes_in_use";
      "said": the messages of JAX about backends that did not start.
    """
    with _listening() as said:
        try:
            import jax

            with _choosing(platform):
                found, devices = jax.default_backend(), jax.local_devices()
        except Exception as error:  # plugins raise whatever they like, JAX an AssertionError
            text = str(error).split(" (set JAX_PLATFORMS=")[0]  # JAX's own advice
            return {**NOTHING, "said": [*said, text or repr(error)]}
    described = []
    for device in devices:
        memory = device.memory_stats() or {}
        kept = {key: memory[key] for key in ("bytes_limit", "bytes_in_use") if key in memory}
        described.append({"kind": device.device_kind, **kept})
    return {"platform": found, "devices": described, "said": said}


@contextlib.contextmanager
def _choosing(platform: str) -> Iterator[None]:
    """Lets JAX start the backends of one platform, undone if that fails."""
    import jax

    before = jax.config.jax_platforms
    if platform and not os.environ.get("JAX_PLATFORMS"):
        jax.config.update("jax_platforms", BACKENDS[platform])
    try:
        yield
    except Exception:
        jax.config.update("jax_platforms", before)
        raise


@contextlib.contextmanager
def _listening() -> Iterator[list[str]]:
    """Collects what JAX logs on its backends, instead of showing it."""
    said: list[str] = []
    logger = logging.getLogger("jax._src.xla_bridge")
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


if __name__ == "__main__":
    json.dump(look(*sys.argv[1:]), sys.stdout)
