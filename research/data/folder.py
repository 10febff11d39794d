"""A folder of images: train/CLASS/*.png, with or without validation/ and test/."""

import functools
import pathlib
from typing import TYPE_CHECKING

from research.data.base import Data, Source, check_image_size
from research.errors import UserError, listing, suggestion
from research.records import record, require

if TYPE_CHECKING:
    from research.data.base import Examples

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")


@record
class ImageFolder(Data):
    """Images on disk, one folder a class; the names of the folders are the classes."""

    name: str = "folder"

    data_dir: str = ""
    """The folder that holds train/, and where there are any validation/ and test/."""

    image_size: tuple[int, ...] = ()
    """(height, width) to scale all images to; () if they have one size already."""

    skip_bad: bool = False
    """Leave out images that can't be read, with a warning, instead of stopping."""

    def open(self):
        from research.data.untrusted import check_inside

        root = pathlib.Path(self.data_dir).expanduser()
        if not self.data_dir or not (root / "train").is_dir():
            raise UserError(
                f"config.data.data_dir: no folder {root / 'train'}. Give the folder that "
                "holds train/CLASS/*.png with --config.data.data_dir=…"
            )
        class_names = tuple(sorted(entry.name for entry in _subfolders(root / "train")))
        if len(class_names) < 2:
            raise UserError(
                f"{root / 'train'}: needs a folder for each of at least two classes, "
                f"found {len(class_names)}"
            )
        names = [name for name in ("train", "validation", "test") if (root / name).is_dir()]
        files = {name: _files(root / name, class_names) for name in names}
        for name, found in files.items():
            folders = {path.parent for path, _ in found}
            check_inside([root / name, *sorted(folders), *(path for path, _ in found)], root)
        # One shape for all splits, and one that does not depend on which is read.
        shape = _image_shape(files["train"], self.image_size)
        return Source(
            class_names=class_names,
            splits={name: functools.partial(self._read, files[name], shape) for name in names},
            input_shape=shape,
            sizes={name: len(files[name]) for name in names},
        )

    def _read(
        self, files: list[tuple[pathlib.Path, int]], shape: tuple[int, int, int]
    ) -> "Examples":
        from research.data.arrays import cached
        from research.data.images import BadImages, UnreadableImage, decode, in_order

        bad = BadImages(self.skip_bad)

        def read(file: tuple[pathlib.Path, int]):
            try:
                return decode(file[0], shape[2], self.image_size)
            except UnreadableImage as error:
                return error

        def decoded():
            for (path, label), image in zip(files, in_order(read, files), strict=True):
                if isinstance(image, UnreadableImage):
                    bad.add(str(path), image)
                    continue
                if image.shape != shape:
                    raise UserError(
                        f"{path}: has {image.shape[0]}×{image.shape[1]} pixels, others "
                        f"{shape[0]}×{shape[1]}. Scale all of them with "
                        f"--config.data.image_size='({shape[0]},{shape[1]})'"
                    )
                yield image, label
            bad.report(len(files))

        identity = {
            "files": [(str(path), label, *_version(path)) for path, label in files],
            "shape": shape,
            "skip_bad": self.skip_bad,
        }
        return cached(identity, decoded(), len(files), shape)

    def validate(self, path):
        super().validate(path)
        check_image_size(self.image_size, f"{path}.image_size")
        require(bool(self.data_dir), f"{path}.data_dir", "give the folder that holds train/")


def _subfolders(folder: pathlib.Path) -> list[pathlib.Path]:
    return [e for e in folder.iterdir() if e.is_dir() and not e.name.startswith(".")]


def _files(split: pathlib.Path, class_names: tuple[str, ...]) -> list[tuple[pathlib.Path, int]]:
    """Returns (path, label) of the images of a split, in a fixed order."""
    for folder in sorted(_subfolders(split)):
        if folder.name not in class_names:
            raise UserError(
                f"{folder}: there is no class {folder.name!r} in train/."
                f"{suggestion(folder.name, class_names)}\nClasses: {listing(class_names)}"
            )
    files = []
    for label, name in enumerate(class_names):
        folder = split / name
        found = sorted(
            path
            for path in folder.glob("*")
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
        if not found:
            raise UserError(
                f"{folder}: holds no images. Put some there, or remove the class "
                f"from every split (image files end in {', '.join(SUFFIXES)})"
            )
        files += [(path, label) for path in found]
    return files


def _version(path: pathlib.Path) -> tuple[int, int]:
    """Returns what changes when a file does: its size and time of modification."""
    try:
        stat = path.stat()
    except OSError:  # a link to nothing: counted and reported when it is decoded
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def _image_shape(
    files: list[tuple[pathlib.Path, int]], size: tuple[int, ...]
) -> tuple[int, int, int]:
    """Returns (height, width, channels): the first image's size, RGB if any is coloured."""
    from research.data.images import UnreadableImage, probe

    probes = []
    for path, _ in files:
        try:
            probes.append(probe(path))
        except UnreadableImage:
            continue  # counted and reported when the images are decoded
    if not probes:
        raise UserError(f"none of the {len(files)} images in {files[0][0].parents[1]} can be read")
    height, width = size or probes[0][0]
    return height, width, max(channels for _, channels in probes)
