"""Arrays of examples, and the cache of decoded images on disk.

Images are decoded once, into memory-mapped .npy files under the user's cache
directory; every later run maps them and reads any example in constant time.
"""

import hashlib
import json
import logging
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from research.data.base import Examples
from research.errors import UserError

DIGEST_BYTES = 16

TAKES_SECONDS = 2**23
"""Bytes of images above which decoding takes long enough to be told."""

FORMAT = 1
"""Version of the files in the cache; a change makes old entries unused."""


def examples(inputs: np.ndarray, labels: np.ndarray) -> Examples:
    """Returns arrays in memory as examples, with their fingerprint."""
    return Examples(inputs, labels, fingerprint(inputs, labels))


def fingerprint(inputs: np.ndarray, labels: np.ndarray, chunk: int = 4096) -> str:
    """Returns a hexadecimal digest of the shapes and contents of both arrays."""
    digest = hashlib.blake2b(repr((inputs.shape, labels.shape)).encode(), digest_size=DIGEST_BYTES)
    for start in range(0, len(inputs), chunk):
        digest.update(np.ascontiguousarray(inputs[start : start + chunk]).data)
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()


def cache_root(environ: Mapping[str, str] = os.environ) -> pathlib.Path:
    """Returns the user's cache directory: $HANOK_CACHE_DIR or ~/.cache/hanok."""
    if explicit := environ.get("HANOK_CACHE_DIR"):
        return pathlib.Path(explicit).expanduser()
    base = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(base).expanduser() / "hanok"


def cached(
    identity: Any,
    decoded: Iterable[tuple[np.ndarray, int]],
    count: int,
    image_shape: tuple[int, int, int],
) -> Examples:
    """Returns decoded examples from the cache, filling it first if need be.

    Args:
      identity: JSON value that changes whenever the examples would.
      decoded: yields (uint8 image of `image_shape`, label); consumed only when
        the cache does not hold the examples yet. It may yield fewer than
        `count`.
      count: the largest number of examples that `decoded` yields.
      image_shape: (height, width, channels).

    Raises:
      UserError: if the cache can't be written.
      ValueError: if an image has another shape.
    """
    text = json.dumps([FORMAT, identity], sort_keys=True)
    directory = cache_root() / "data" / hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    found = _load(directory)
    if found is not None:
        return found
    shutil.rmtree(directory, ignore_errors=True)  # where there is one, it is damaged
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        building = pathlib.Path(tempfile.mkdtemp(prefix="building-", dir=directory.parent))
        try:
            _write(building, decoded, count, image_shape)
            found = _load(building)  # what is mapped stays valid when its file is moved
            _publish(building, directory)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"cannot write decoded images to {directory.parent}: {error}\n"
            "Free some space there, or set HANOK_CACHE_DIR to another directory"
        ) from error
    return found


def _write(
    directory: pathlib.Path,
    decoded: Iterable[tuple[np.ndarray, int]],
    count: int,
    image_shape: tuple[int, int, int],
) -> None:
    needed = count * int(np.prod(image_shape))
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise OSError(f"{needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free")
    if needed > TAKES_SECONDS:
        logging.getLogger(__name__).info("decoding %d images into %s", count, directory.parent)
    labels = []
    # Written, not mapped: when a disk is full a write raises, a map ends the process.
    with open(directory / "images.npy", "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, *image_shape)}
        np.lib.format.write_array_header_1_0(file, header)
        size = file.tell() + needed
        for image, label in decoded:
            if image.shape != image_shape:
                raise ValueError(f"image {len(labels)} has shape {image.shape}, not {image_shape}")
            file.write(np.ascontiguousarray(image, np.uint8).data)
            labels.append(label)
        file.truncate(size)  # takes no space for the images that were left out
        file.flush()
        os.fsync(file.fileno())
    labels = np.asarray(labels, np.int32)
    np.save(directory / "labels.npy", labels, allow_pickle=False)
    images = np.load(directory / "images.npy", mmap_mode="r", allow_pickle=False)
    (directory / "fingerprint").write_text(fingerprint(images[: len(labels)], labels))


def _publish(building: pathlib.Path, directory: pathlib.Path) -> None:
    """Moves a finished entry to its place, unless another process was faster."""
    try:
        os.replace(building, directory)
    except OSError:
        if _load(directory) is None:
            raise


def _load(directory: pathlib.Path) -> Examples | None:
    """Returns the examples of an entry, None if it is absent or incomplete."""
    try:
        images = np.load(directory / "images.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(directory / "labels.npy", allow_pickle=False)
        digest = (directory / "fingerprint").read_text()
    except (OSError, ValueError, EOFError):  # absent, or truncated
        return None
    if len(digest) != 2 * DIGEST_BYTES or len(labels) > len(images):
        return None
    return Examples(images[: len(labels)], labels, digest)
