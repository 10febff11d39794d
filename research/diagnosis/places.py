"""Memory, the cache and the data sets: what a run reads and writes besides its devices."""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
from typing import Any

from research.data.arrays import cache_root
from research.data.tfds_images import data_dir
from research.diagnosis.finding import Finding, size
from research.diagnosis.machine import Machine

LOW = 1e9
"""Bytes of memory or disk below which a run will hardly get far."""

GPU_SHARE = 0.75
"""Share of a GPU's memory that JAX reserves when it starts."""


def host_memory(machine: Machine) -> list[Finding]:
    """Tells the free memory of the host, or of the container if that is less."""
    lines = (line.split() for line in machine.text("proc/meminfo").splitlines())
    kilobytes = {words[0].rstrip(":"): int(words[1]) for words in lines if len(words) > 1}
    if not {"MemTotal", "MemAvailable"} <= kilobytes.keys():
        return []
    total, free = (1024 * kilobytes[name] for name in ("MemTotal", "MemAvailable"))
    limit = machine.text("sys/fs/cgroup/memory.max")
    if limit.isdigit() and int(limit) < total:
        used = int(machine.text("sys/fs/cgroup/memory.current") or 0)
        statistics = dict(
            line.split() for line in machine.text("sys/fs/cgroup/memory.stat").splitlines()
        )
        total = int(limit)
        # Files that were read are kept in memory only as long as nothing needs it.
        free = min(free, total - used + int(statistics.get("inactive_file", 0)))
    remedy = "end other processes, or use a machine with more memory" if free < LOW else ""
    return [Finding("memory", f"host: {size(free)} of {size(total)} free", remedy)]


def device_memory(machine: Machine, seen: dict[str, Any]) -> list[Finding]:
    """Tells the free memory of the devices, where there is something to tell."""
    if seen["platform"] == "gpu":
        return _gpu_memory(machine)
    return [
        Finding(
            "memory",
            f"device {index}: {size(device['bytes_limit'] - device.get('bytes_in_use', 0))} of "
            f"{size(device['bytes_limit'])} free",
        )
        for index, device in enumerate(seen["devices"])
        if "bytes_limit" in device
    ]


def _gpu_memory(machine: Machine) -> list[Finding]:
    """Asks nvidia-smi, which knows what other processes use."""
    command = ("nvidia-smi", "--query-gpu=index,memory.free,memory.total")
    try:
        ran = machine.run((*command, "--format=csv,noheader,nounits"), 20)
    except FileNotFoundError:
        return []
    if ran.code != 0:
        said = " ".join((ran.output + ran.errors).split())[:200]
        return [Finding("memory", f"nvidia-smi fails: {said}", "restart the machine or its driver")]
    findings = []
    for line in ran.output.strip().splitlines():
        index, free, total = (int(word) for word in line.split(","))
        remedy = (
            "end what uses it (nvidia-smi lists it), or set XLA_PYTHON_CLIENT_PREALLOCATE=false"
            if free < GPU_SHARE * total
            else ""
        )
        text = f"GPU {index}: {size(free * 2**20)} of {size(total * 2**20)} free"
        findings.append(Finding("memory", text, remedy))
    return findings


def cache(machine: Machine) -> list[Finding]:
    """Tells whether the cache can be written, what it holds, and the space left."""
    root = cache_root(machine.environ)
    elsewhere = "set HANOK_CACHE_DIR to a directory that can be"
    there = next(path for path in (root, *root.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return [Finding("cache", f"{root} can't be written to: {error.strerror}", elsewhere)]
    free = shutil.disk_usage(there).free
    parts = [f"{root} is writable, {size(free)} free"]
    for folder, what in (("data", "decoded images"), ("xla", "compiled programs")):
        if stored := _bytes_below(root / folder):
            parts.append(f"{size(stored)} of {what}")
    remedy = f"free some space there, or {elsewhere}" if free < LOW else ""
    return [Finding("cache", ", ".join(parts), remedy)]


def _bytes_below(folder: pathlib.Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # other processes use the cache, too
                total += os.stat(os.path.join(parent, name)).st_size
    return total


def data_sets(machine: Machine) -> list[Finding]:
    """Tells which TFDS data sets are prepared, in the form that training reads or not."""
    directory = pathlib.Path(data_dir("", machine.environ))
    patterns = ("*/*/dataset_info.json", "*/*/*/dataset_info.json")  # with a config between
    files = sorted(path for pattern in patterns for path in directory.glob(pattern))
    ready, useless = [], []
    for file in files:
        name = str(file.parent.relative_to(directory))
        try:
            form = json.loads(file.read_text()).get("fileFormat", "tfrecord")
        except (OSError, ValueError):
            form = "damaged"
        if form == "array_record":
            ready.append(name)
        else:
            useless.append(f"{name} ({form}, not array_record)")
    text = f"digits; in {directory}: "
    text += ", ".join(ready) or "none prepared yet (launch.prepare_data does it)"
    if useless:
        text += f"; not readable by training: {', '.join(useless)}"
    return [Finding("data", text)]
