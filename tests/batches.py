"""The batch of a training step by itself, as the feeds are to give it."""

from research.data.feed import place


def train_batch(split, global_batch_size, seed, step, sharding):
    """Returns the batch of one training step (counted from 0), on the devices."""
    positions = split.train_positions(global_batch_size, seed, step)
    return place(split.gather, positions, sharding)
