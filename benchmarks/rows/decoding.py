"""CIFAR-10's PNGs, as they are stored, into arrays in order."""

import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image

from benchmarks.harness import Options, Turn, figures
from benchmarks.table import Table
from research.data.splits import open_source
from research.data.tfds_images import TfdsImages, data_dir, find_builder

DATA = TfdsImages(name="cifar10")
WORKERS = 2
CHUNK = 256
"""Images that are read at once."""


def tables(options: Options) -> Iterator[Table]:
    """Yields how fast the training images are decoded; each turn decodes them all."""
    found = figures(
        {
            "hanok": hanok,
            "torch DataLoader, 2 workers with Pillow": torch,
            "tf.data": tf_data,
        },
        options,
    )
    yield Table("Decoding CIFAR-10", "examples/s", found, beside="torch")


def hanok() -> Turn:
    """What a first run does: decodes into the cache on disk, with digests."""
    source = open_source(DATA)

    def decode() -> int:
        with tempfile.TemporaryDirectory() as cache:
            os.environ["HANOK_CACHE_DIR"] = cache
            return len(source.splits["train"]().labels)

    return _per_second(decode)


def torch() -> Turn:
    """The same records, parsed as fast, decoded by workers into a tensor."""
    import torch
    from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

    records = _Records()
    loader = DataLoader(
        records,
        sampler=BatchSampler(SequentialSampler(records), CHUNK, drop_last=False),
        batch_size=None,  # the sampler has made batches already
        num_workers=WORKERS,
    )

    def decode() -> int:
        images = torch.empty((len(records), 32, 32, 3), dtype=torch.uint8)
        labels = torch.empty(len(records), dtype=torch.int32)
        filled = 0
        for some, of_them in loader:
            images[filled : filled + len(some)] = some
            labels[filled : filled + len(some)] = of_them
            filled += len(some)
        return filled

    return _per_second(decode)


def tf_data() -> Turn:
    """The same PNGs, in memory already: TensorFlow does not read these files."""
    import tensorflow as tf

    records = _Records()
    files, labels = zip(*records.files(range(len(records))), strict=True)
    slices = tf.data.Dataset.from_tensor_slices((list(files), list(labels)))
    decoded = slices.map(
        lambda file, label: (tf.io.decode_png(file, channels=3), label),
        num_parallel_calls=WORKERS,
    )
    batches = decoded.batch(CHUNK).prefetch(tf.data.AUTOTUNE)

    def decode() -> int:
        return sum(len(images) for images, _ in batches.as_numpy_iterator())

    return _per_second(decode)


class _Records:
    """The stored records of CIFAR-10's training split, decoded by Pillow."""

    def __init__(self):
        import tensorflow_datasets as tfds

        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        builder = find_builder(DATA.name, data_dir(""))
        self._records = builder.as_data_source("train", deserialize_method=raw)

    def __len__(self) -> int:
        return len(self._records)

    def files(self, positions: Sequence[int]) -> list[tuple[bytes, int]]:
        """Returns the PNG files and the labels of some records."""
        from tensorflow_datasets.proto import tf_example_pb2

        found = []
        for record in self._records.__getitems__(positions):
            feature = tf_example_pb2.Example.FromString(record).features.feature
            image, label = feature["image"].bytes_list, feature["label"].int64_list
            found.append((image.value[0], label.value[0]))
        return found

    def __getitem__(self, positions: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        files, labels = zip(*self.files(positions), strict=True)
        images = [np.asarray(Image.open(io.BytesIO(file))) for file in files]
        return np.stack(images), np.int32(labels)


def _per_second(decode: Callable[[], int]) -> Turn:
    def turn() -> float:
        begun = time.perf_counter()
        return decode() / (time.perf_counter() - begun)

    return turn
