"""Decoding image files into arrays."""

import collections
import contextlib
import io
import logging
import os
import pathlib
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import imagecodecs
import numpy as np
from PIL import Image, UnidentifiedImageError

from research.errors import UserError, first_line

In, Out = TypeVar("In"), TypeVar("Out")

SMALL = 1 << 16
"""Pixels up to which what Pillow does around an image takes longer than the image."""

GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "F")


class UnreadableImage(Exception):
    """A file or record that can't be decoded; the message says why."""


def in_order(read: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """Yields what `read` makes of each item; threads, one a core, are ahead of the need.

    As many results as there are threads wait at most, and as many again are being made.
    """
    threads = os.cpu_count() or 1
    begun = collections.deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            begun.append(pool.submit(read, item))
            if len(begun) == 2 * threads:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


def probe(path: pathlib.Path) -> tuple[tuple[int, int], int]:
    """Returns ((height, width), channels) of an image file from its header.

    Channels are 1 for grey images and 3 for all others.

    Raises:
      UnreadableImage: if the header is not one of an image.
    """
    with _errors_as_unreadable(), Image.open(_regular(path)) as image:
        return (image.height, image.width), 1 if image.mode in GREY_MODES else 3


def decode(source: pathlib.Path | bytes, channels: int, size: tuple[int, ...]) -> np.ndarray:
    """Returns an image as uint8 [height, width, channels].

    Of grey images with 16 bits a pixel the upper 8 are kept.

    Args:
      source: path of the file, or its contents.
      channels: 1 converts to grey, 3 to RGB.
      size: (height, width) to scale to with antialiasing, or () for as it is.

    Raises:
      UnreadableImage: if the file is truncated or no image, or has pixels of
        32 bits, which have no fixed range.
    """
    plain = isinstance(source, bytes) and not size
    if plain and (pixels := _small_png(source, channels)) is not None:
        return pixels
    with (
        _errors_as_unreadable(),
        Image.open(io.BytesIO(source) if isinstance(source, bytes) else _regular(source)) as image,
    ):
        image = _eight_bits(image).convert("L" if channels == 1 else "RGB")
        if size and (image.height, image.width) != tuple(size):
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        array = np.asarray(image, np.uint8)
    return array.reshape(*array.shape[:2], channels)


def _small_png(contents: bytes, channels: int) -> np.ndarray | None:
    """Returns the pixels of a small PNG of the usual kind; None if it is another or damaged.

    They are Pillow's, which takes three times as long for 32×32 of them, most of it
    in Python, where threads exclude each other.
    """
    if len(contents) < 29 or contents[:8] != b"\x89PNG\r\n\x1a\n" or contents[12:16] != b"IHDR":
        return None
    width, height, *kind = struct.unpack(">IIBBBBB", contents[16:29])
    grey_or_rgb = 0 if channels == 1 else 2
    if kind != [8, grey_or_rgb, 0, 0, 0] or not 0 < width * height <= SMALL:
        return None
    try:
        pixels = imagecodecs.png_decode(contents)
    except (imagecodecs.PngError, ValueError):  # Pillow says what is wrong
        return None
    # With a colour that stands for transparency there is a channel more.
    whole = pixels.size == height * width * channels
    return pixels.reshape(height, width, channels) if whole else None


@contextlib.contextmanager
def _errors_as_unreadable() -> Iterator[None]:
    try:
        yield
    except UnidentifiedImageError as error:
        raise UnreadableImage("not an image of a known format") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadableImage(first_line(error)) from error


def _regular(path: pathlib.Path) -> pathlib.Path:
    """Raises `OSError` for what can be opened but may never end, such as a pipe."""
    if path.exists() and not path.is_file():
        raise OSError("not a regular file")
    return path


def _eight_bits(image: Image.Image) -> Image.Image:
    # Pillow's own conversion would turn all values above 255 into 255.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(
            "its pixels are 32-bit numbers without a fixed range; convert them to 8 bits"
        )
    return image


class BadImages:
    """Collects the images of a split that can't be read.

    One bad file in a million must neither end a long preparation without
    naming the others nor be dropped in silence.
    """

    def __init__(self, skip: bool):
        self._skip = skip
        self._found: list[str] = []

    def add(self, name: str, reason: UnreadableImage) -> None:
        """Notes that the image called `name` can't be read."""
        self._found.append(f"{name}: {first_line(reason)}")

    def report(self, total: int) -> None:
        """Raises `UserError` naming bad images, or warns if they may be left out.

        A split of which nothing would remain is an error all the same.
        """
        if not self._found:
            return
        shown = "\n".join(f"  {line}" for line in self._found[:5])
        more = f"\n  … and {len(self._found) - 5} more" if len(self._found) > 5 else ""
        message = f"{len(self._found)} of {total} images can't be read:\n{shown}{more}"
        if len(self._found) == total:
            raise UserError(message)
        if not self._skip:
            raise UserError(
                f"{message}\nMend or remove them, or leave them out with "
                "--config.data.skip_bad=true"
            )
        logging.getLogger(__name__).warning("%s\nThey are left out.", message)
