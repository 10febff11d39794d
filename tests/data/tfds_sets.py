"""Small data sets as TFDS prepares them, made without TensorFlow."""

import gzip
import io
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds

CLASS_NAMES = ("cat", "dog")


def prepare_tiny(
    directory: pathlib.Path,
    splits: Mapping[str, Sequence[tuple[bytes, int]]],
    image_shape: tuple[int | None, int | None, int],
) -> pathlib.Path:
    """Prepares the data set "tiny" of cats and dogs; see `prepare_encoded`."""
    return prepare_encoded(directory, "tiny", "1.0.0", CLASS_NAMES, splits, image_shape)


def prepare_encoded(
    directory: pathlib.Path,
    name: str,
    version: str,
    class_names: Sequence[str],
    splits: Mapping[str, Sequence[tuple[bytes, int]]],
    image_shape: tuple[int | None, int | None, int],
) -> pathlib.Path:
    """Prepares a data set of (image file, label); returns the folder of its files.

    TFDS needs TensorFlow to encode images, but not for those that are encoded
    already; it does not look into them.
    """

    class Encoded(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """Known by its files alone."""

        VERSION = tfds.core.Version(version)

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=image_shape),
                        "label": tfds.features.ClassLabel(names=class_names),
                    }
                ),
                supervised_keys=("image", "label"),
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager):
            return {name: self._generate_examples(name) for name in splits}

        def _generate_examples(self, split):
            for index, (image, label) in enumerate(splits[split]):
                yield index, {"image": io.BytesIO(image), "label": label}

    Encoded.name = name
    tfds.disable_progress_bar()
    builder = Encoded(data_dir=str(directory), file_format="array_record")
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )
    return pathlib.Path(builder.data_path)


def read_idx(folder: pathlib.Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads Fashion-MNIST's "train" or "t10k" from the publisher's files.

    Returns:
      uint8 images [n, 28, 28] and uint8 labels [n].
    """

    def read(content, header):
        (path,) = folder.glob(f"fashion-mnist_{part}-{content}-*.gz")
        return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)

    return read("images", 16).reshape(-1, 28, 28), read("labels", 8)
