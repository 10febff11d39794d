"""Preparing TFDS data sets in the form that training reads; needs TensorFlow."""

import os
import pathlib
import shutil

from research.data.tfds_images import data_dir, find_builder, is_readable, supervised_keys
from research.errors import UserError, first_line


def prepare(name: str, directory: str, download_dir: str) -> str:
    """Downloads and prepares a data set, with progress.

    Args:
      name: name in the TFDS catalogue.
      directory: TFDS data directory, "" for the default one.
      download_dir: folder with files that were downloaded earlier, or "".

    Returns:
      One line that says what is where now.

    Raises:
      UserError: if the data set is not one of labelled images, if TensorFlow is
        missing, or if a download or a write fails.
    """
    directory = data_dir(directory)
    builder = find_builder(name, directory)
    supervised_keys(builder)
    given = pathlib.Path(download_dir).expanduser() if download_dir else None
    if given and not given.is_dir():
        raise UserError(f"--download_dir: no folder {given}")
    if not is_readable(builder):
        _download_and_prepare(builder, name, pathlib.Path(directory), given)
    sizes = ", ".join(f"{split.num_examples:,} {key}" for key, split in builder.info.splits.items())
    return f"{name} is prepared in {builder.data_path}: {sizes} examples"


def _download_and_prepare(
    builder, name: str, directory: pathlib.Path, given: pathlib.Path | None
) -> None:
    if builder.data_path.exists():  # TFDS would leave it as it is
        raise UserError(
            f"{builder.data_path} is there, but incomplete or not in the ArrayRecord format. "
            "Remove it, or prepare the data set in another --data_dir"
        )
    _require_tensorflow()
    import tensorflow_datasets as tfds

    downloads = directory / "downloads"
    try:
        downloads.mkdir(parents=True, exist_ok=True)
        if given:
            _provide(given, downloads)
        builder.download_and_prepare(
            download_dir=str(downloads),
            file_format="array_record",
            download_config=tfds.download.DownloadConfig(try_download_gcs=False, manual_dir=given),
        )
    except Exception as error:  # each data set has code of its own, which may raise anything
        raise UserError(
            f"data set {name!r} could not be prepared in {directory}: {first_line(error)}\n"
            "If this machine is offline, put the files that TFDS downloads into a folder and "
            "give it with --download_dir=…"
        ) from error


def _require_tensorflow() -> None:
    # Its log must be quiet before it is imported; what oneDNN has to say comes
    # before any log level applies.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    try:
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise UserError(
            "preparing a data set needs TensorFlow (training does not). Install it with\n"
            "  pip install -e '.[prepare]'"
        ) from error


def _provide(given: pathlib.Path, downloads: pathlib.Path) -> None:
    """Makes files that are there already known to TFDS, which writes beside them."""
    for file in given.iterdir():
        target = downloads / file.name
        if target.exists() or not file.is_file():
            continue
        target.unlink(missing_ok=True)  # a link to a file that is gone
        if file.suffix == ".INFO":  # small, and rewritten by TFDS
            shutil.copyfile(file, target)
        else:
            target.symlink_to(file.absolute())
