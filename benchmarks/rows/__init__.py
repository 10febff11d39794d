"""Kinds of rows: each is a function of the options that yields tables."""

from benchmarks.rows.accuracy import accuracy
from benchmarks.rows.checkpoint import checkpoint
from benchmarks.rows.decoding import decoding
from benchmarks.rows.loading import loading
from benchmarks.rows.start import start
from benchmarks.rows.training import loop, replicas, training

ROWS = {
    row.__name__: row
    for row in (training, loop, replicas, loading, decoding, start, accuracy, checkpoint)
}
