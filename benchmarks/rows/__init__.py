"""Kinds of rows: each is a function of the options that yields tables."""

from benchmarks.rows import accuracy, checkpoint, decoding, loading, start, training

ROWS = {
    "training": training.works,
    "loop": training.loop,
    "replicas": training.replicas,
    "loading": loading.tables,
    "decoding": decoding.tables,
    "start": start.tables,
    "accuracy": accuracy.tables,
    "checkpoint": checkpoint.tables,
}
