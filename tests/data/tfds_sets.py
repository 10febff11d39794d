"""Small data sets as TFDS prepares them, made without TensorFlow."""

import io
import pathlib
from collections.abc import Mapping, Sequence

import tensorflow_datasets as tfds

CLASS_NAMES = ("cat", "dog")


def prepare_tiny(
    directory: pathlib.Path,
    splits: Mapping[str, Sequence[tuple[bytes, int]]],
    image_shape: tuple[int | None, int | None, int],
) -> pathlib.Path:
    """Prepares the data set "tiny" of (image file, label); returns the folder of its files.

    TFDS needs TensorFlow to encode images, but not for those that are encoded
    already; it does not look into them.
    """

    class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """Known by its files alone."""

        name = "tiny"
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=image_shape),
                        "label": tfds.features.ClassLabel(names=CLASS_NAMES),
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

    tfds.disable_progress_bar()
    builder = Tiny(data_dir=str(directory), file_format="array_record")
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )
    return pathlib.Path(builder.data_path)
