"""Image-classification data sets of TensorFlow Datasets, without TensorFlow.

https://www.tensorflow.org/datasets/catalog lists them. They must have been
prepared in the ArrayRecord format, which `python -m launch.prepare_data` does.
"""

import functools
import itertools
import os
import pathlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from research.data.base import Data, Source, check_image_size
from research.errors import UserError, first_line, listing, suggestion
from research.records import record

if TYPE_CHECKING:
    import numpy as np

    from research.data.base import Examples
    from research.data.images import UnreadableImage

RECORDS_PER_READ = 256

WELL_KNOWN = (
    "beans",
    "caltech101",
    "cats_vs_dogs",
    "cifar10",
    "cifar100",
    "emnist",
    "eurosat",
    "fashion_mnist",
    "food101",
    "horses_or_humans",
    "imagenet2012",
    "imagenette",
    "kmnist",
    "mnist",
    "oxford_flowers102",
    "oxford_iiit_pet",
    "patch_camelyon",
    "rock_paper_scissors",
    "stl10",
    "svhn_cropped",
    "tf_flowers",
)
"""Names shown to whoever misspells one; any other of the catalogue works too."""


class UnknownDataSet(UserError):
    """No data set of the catalogue has this name."""


@record
class TfdsImages(Data):
    """A data set named as in the catalogue, such as "cifar10" or "mnist:3.0.1"."""

    name: str

    data_dir: str = ""
    """Where it was prepared; "" is $TFDS_DATA_DIR or ~/tensorflow_datasets."""

    image_size: tuple[int, ...] = ()
    """(height, width) to scale all images to; () if they have one size already."""

    skip_bad: bool = False
    """Leave out images that can't be read, with a warning, instead of stopping."""

    def open(self):
        builder = find_builder(self.name, data_dir(self.data_dir))
        # First what no preparation would mend.
        image_key, label_key = supervised_keys(builder)
        if not is_readable(builder):
            raise UserError(
                f"data set {self.name!r} is not prepared in {data_dir(self.data_dir)}. "
                "Download and prepare it with\n"
                f"  {_prepare_command(self.name, self.data_dir)}"
            )
        height, width, channels = builder.info.features[image_key].shape
        if not self.image_size and None in (height, width):
            raise UserError(
                f"data set {self.name!r}: images have different sizes; choose one with "
                "--config.data.image_size='(64,64)'"
            )
        shape = (*(self.image_size or (height, width)), 1 if channels == 1 else 3)
        read = functools.partial(self._read, builder, image_key, label_key, shape)
        names = [n for n in ("train", "validation", "test") if n in builder.info.splits]
        if "train" not in names:
            raise UserError(
                f"data set {self.name!r} has no split 'train', only {listing(builder.info.splits)}"
            )
        return Source(
            class_names=tuple(builder.info.features[label_key].names),
            splits={name: functools.partial(read, name) for name in names},
            input_shape=shape,
            sizes={name: builder.info.splits[name].num_examples for name in names},
        )

    def _read(
        self, builder, image_key: str, label_key: str, shape: tuple[int, int, int], split: str
    ) -> "Examples":
        import tensorflow_datasets as tfds

        from research.data.arrays import cached
        from research.data.images import BadImages, UnreadableImage, in_order
        from research.data.untrusted import check_inside

        bad = BadImages(self.skip_bad)
        info = builder.info.splits[split]
        decode = functools.partial(self._decode, image_key, label_key, shape[2])

        def decoded():
            # As they are stored: TFDS would take longer to parse them than we to decode.
            raw = tfds.decode.DeserializeMethod.RAW_BYTES
            records = builder.as_data_source(split, deserialize_method=raw)

            def read(start: int) -> list[tuple["np.ndarray | UnreadableImage", int]]:
                chunk = range(start, min(start + RECORDS_PER_READ, len(records)))
                return list(map(decode, chunk, records.__getitems__(chunk)))

            starts = range(0, len(records), RECORDS_PER_READ)
            examples = itertools.chain.from_iterable(in_order(read, starts))
            for index, (image, label) in enumerate(examples):
                if isinstance(image, UnreadableImage):
                    bad.add(f"{split} example {index}", image)
                else:
                    yield image, label
            bad.report(len(records))

        try:
            files = [pathlib.Path(path) for path in info.filepaths]
            check_inside(files, pathlib.Path(builder.data_path))
            stats = [path.stat() for path in files]
            identity = {
                "tfds": builder.info.full_name,
                "files": [
                    (str(path), stat.st_size, stat.st_mtime_ns)
                    for path, stat in zip(files, stats, strict=True)
                ],
                "shape": shape,
                "skip_bad": self.skip_bad,
            }
            return cached(identity, decoded(), info.num_examples, shape)
        except (OSError, ValueError, RuntimeError, IndexError) as error:
            raise UserError(
                f"data set {self.name!r}: split {split} in {builder.data_path} can't be read: "
                f"{first_line(error)}\n"
                "If files are damaged, remove that folder and prepare them again:\n"
                f"  {_prepare_command(self.name, self.data_dir)}"
            ) from error

    def _decode(
        self, image_key: str, label_key: str, channels: int, index: int, record: bytes
    ) -> tuple["np.ndarray | UnreadableImage", int]:
        """Returns the image of a record, or why it is unreadable, and its label."""
        from tensorflow_datasets.proto import tf_example_pb2

        from research.data.images import UnreadableImage, decode

        features = tf_example_pb2.Example.FromString(record).features.feature
        label = features[label_key].int64_list.value
        image = features[image_key].bytes_list.value
        if not image or not label:
            raise ValueError(f"example {index} is empty; does the file end before it?")
        try:
            return decode(image[0], channels, self.image_size), label[0]
        except UnreadableImage as error:
            return error, label[0]

    def validate(self, path):
        super().validate(path)
        check_image_size(self.image_size, f"{path}.image_size")


def data_dir(given: str, environ: Mapping[str, str] = os.environ) -> str:
    """Returns the TFDS directory: as given, $TFDS_DATA_DIR or the default one."""
    return os.path.expanduser(
        given or environ.get("TFDS_DATA_DIR") or os.path.join("~", "tensorflow_datasets")
    )


def find_builder(name: str, directory: str):
    """Returns the TFDS builder of a data set, prepared or not.

    Raises:
      UnknownDataSet: if no data set has this name, with those that have one.
      UserError: if its version, its options or its files are wrong.
    """
    import logging

    import tensorflow_datasets as tfds

    from research.data.untrusted import check_features, check_name

    check_name(name)
    base = re.split("[:/]", name)[0]
    there = base.isidentifier() and os.path.isdir(os.path.join(directory, base))
    if base.isidentifier():
        check_features(os.path.join(directory, base))
    # A data set that isn't there yet is reported by our callers, once.
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        return tfds.builder(name, data_dir=directory)
    except Exception as error:  # each data set has code of its own, which may raise anything
        known = tfds.list_builders(with_community_datasets=False)
        if there or base in known:
            raise UserError(
                f"data set {name!r} in {directory} can't be opened: {first_line(error)}"
            ) from error
        nearest = suggestion(name.lower().replace("-", "_"), known)
        raise UnknownDataSet(
            f"no data set is called {name!r}.{nearest}\n"
            f"TensorFlow Datasets has, among others: {listing(WELL_KNOWN)}\n"
            "All of them: https://www.tensorflow.org/datasets/catalog/overview#image_classification"
        ) from error


def is_readable(builder) -> bool:
    """Returns whether a data set is prepared in the form that training reads."""
    return builder.is_prepared() and builder.info.file_format.value == "array_record"


def _prepare_command(name: str, directory: str) -> str:
    target = f" --data_dir={directory}" if directory else ""
    return f"python -m launch.prepare_data --dataset={name}{target}"


def supervised_keys(builder) -> tuple[str, str]:
    """Returns the names of the image and label features.

    Raises:
      UserError: if the data set is not one of labelled 8-bit images.
    """
    import numpy as np
    import tensorflow_datasets as tfds

    features = dict(builder.info.features.items())
    keys = builder.info.supervised_keys or ("image", "label")
    image, label = (features.get(key) if isinstance(key, str) else None for key in keys[:2])
    if (
        not isinstance(image, tfds.features.Image)
        or not isinstance(label, tfds.features.ClassLabel)
        or image.np_dtype != np.uint8
    ):
        raise UserError(
            f"data set {builder.name!r} is not one of labelled 8-bit images; its features are "
            f"{', '.join(f'{key}: {type(value).__name__}' for key, value in features.items())}"
        )
    return keys[0], keys[1]
