"""Decoding image files into arrays."""

import io
import logging
import pathlib

import numpy as np
from PIL import Image

from research.errors import UserError

GREY_MODES = ("1", "L", "LA", "I", "I;16", "F")


class UnreadableImage(Exception):
    """A file or record that Pillow can't decode; the message says why."""


def probe(path: pathlib.Path) -> tuple[tuple[int, int], int]:
    """Returns ((height, width), channels) of an image file from its header.

    Channels are 1 for grey images and 3 for all others.

    Raises:
      UnreadableImage: if the header is not one of an image.
    """
    try:
        with Image.open(path) as image:
            return (image.height, image.width), 1 if image.mode in GREY_MODES else 3
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadableImage(str(error)) from error


def decode(source: pathlib.Path | bytes, channels: int, size: tuple[int, ...]) -> np.ndarray:
    """Returns an image as uint8 [height, width, channels].

    Args:
      source: path of the file, or its contents.
      channels: 1 converts to grey, 3 to RGB.
      size: (height, width) to scale to with antialiasing, or () for as it is.

    Raises:
      UnreadableImage: if the file is truncated or no image.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(file) as image:
            image = image.convert("L" if channels == 1 else "RGB")
            if size and (image.height, image.width) != tuple(size):
                image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            array = np.asarray(image, np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadableImage(str(error)) from error
    return array.reshape(*array.shape[:2], channels)


class BadImages:
    """Collects the images of a split that can't be read.

    One bad file in a million must neither end a long preparation without
    naming the others nor be dropped in silence.
    """

    def __init__(self, skip: bool):
        self._skip = skip
        self._found: list[str] = []

    def add(self, name: str, reason: object) -> None:
        """Notes that the image called `name` can't be read."""
        self._found.append(f"{name}: {str(reason).splitlines()[0]}")

    def report(self, total: int) -> None:
        """Raises `UserError` naming bad images, or warns if they may be skipped."""
        if not self._found:
            return
        shown = "\n".join(f"  {line}" for line in self._found[:5])
        more = f"\n  … and {len(self._found) - 5} more" if len(self._found) > 5 else ""
        message = f"{len(self._found)} of {total} images can't be read:\n{shown}{more}"
        if not self._skip:
            raise UserError(
                f"{message}\nMend or remove them, or leave them out with "
                "--config.data.skip_bad=true"
            )
        logging.getLogger(__name__).warning("%s\nThey are left out.", message)
