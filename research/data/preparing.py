"""Preparing TFDS data sets in the form that training reads; needs TensorFlow."""

import os
import pathlib
import shutil

from research.data.tfds_images import data_dir, find_builder
from research.errors import UserError


def prepare(name: str, directory: str, download_dir: str) -> str:
    """Downloads and prepares a data set, with progress.

    Args:
      name: name in the TFDS catalogue.
      directory: TFDS data directory, "" for the default one.
      download_dir: folder with files that were downloaded earlier, or "".

    Returns:
      One line that says what is where now.

    Raises:
      UserError: if TensorFlow is missing, or a download or a write fails.
    """
    directory = data_dir(directory)
    builder = find_builder(name, directory)
    if not builder.is_prepared():
        _require_tensorflow()
        import tensorflow_datasets as tfds

        downloads = pathlib.Path(directory) / "downloads"
        try:
            downloads.mkdir(parents=True, exist_ok=True)
            if download_dir:
                _provide(pathlib.Path(download_dir).expanduser(), downloads)
            builder.download_and_prepare(
                download_dir=str(downloads),
                file_format="array_record",
                download_config=tfds.download.DownloadConfig(try_download_gcs=False),
            )
        except (OSError, tfds.download.DownloadError, AssertionError) as error:
            raise UserError(
                f"data set {name!r} could not be prepared in {directory}: "
                f"{str(error).strip().splitlines()[0]}\nIf this machine is offline, put the "
                "files that TFDS downloads into a folder and give it with --download_dir=…"
            ) from error
    sizes = ", ".join(f"{split.num_examples:,} {key}" for key, split in builder.info.splits.items())
    return f"{name} is prepared in {builder.data_path}: {sizes} examples"


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
    if not given.is_dir():
        raise UserError(f"--download_dir: no folder {given}")
    for file in given.iterdir():
        target = downloads / file.name
        if target.exists() or not file.is_file():
            continue
        if file.suffix == ".INFO":  # small, and rewritten by TFDS
            shutil.copyfile(file, target)
        else:
            target.symlink_to(file.absolute())
