"""Who does the work: each is a function of it that returns how steps are made.

A contender imports what it needs, prepares itself, warms up, and returns a
function: number of steps -> None, which comes back when they are made.
"""

import io
import itertools
import pathlib
import tempfile
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.work import Work, arrays
from research.data.splits import Split

Steps = Callable[[int], None]


def hanok(work: Work) -> Steps:
    """The training loop as users run it: metrics, progress, a checkpoint every epoch."""
    from research.console import Console
    from research.program import enable_compilation_cache
    from research.training import train

    enable_compilation_cache()
    dataset = work.dataset()
    every = len(dataset.train) // work.experiment().global_batch_size
    numbers = itertools.count()
    folder = tempfile.TemporaryDirectory()

    def steps(count: int) -> None:
        chosen = work.experiment(
            f"--config.steps={count}",
            f"--config.checkpoint.every_steps={max(every, 250)}",
        )
        path = pathlib.Path(folder.name) / str(next(numbers))
        train(chosen, str(path), Console(io.StringIO()))

    return steps


def bare_scan(work: Work) -> Steps:
    """JAX and optax alone: a jitted scan of gather, normalise, gradient and Adam."""
    import jax
    import jax.numpy as jnp
    import optax

    from research.models.network import network

    chosen, dataset = work.experiment(), work.dataset()
    images, labels = arrays(dataset)
    net = network(chosen.model, len(dataset.class_names))
    images, labels = images.reshape(len(images), -1), jnp.asarray(labels)
    shape, images = dataset.input_shape, jnp.asarray(images)
    adam = optax.adam(1e-3)
    params = net.init(jax.random.key(0), jnp.zeros((1, *shape)))["params"]
    mean, std = jnp.asarray(dataset.mean), jnp.asarray(dataset.std)

    def step(state, positions):
        params, memory = state
        batch, label = jax.lax.optimization_barrier((images[positions], labels[positions]))
        x = (batch.reshape(-1, *shape).astype(jnp.float32) - mean) / std

        def loss(params):
            logits = net.apply({"params": params}, x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        updates, memory = adam.update(gradient, memory, params)
        return (optax.apply_updates(params, updates), memory), value

    scan = jax.jit(lambda state, positions: jax.lax.scan(step, state, positions), donate_argnums=0)
    size = chosen.global_batch_size
    state = [(params, adam.init(params))]
    positions = _positions(dataset.train, size)

    def steps(count: int) -> None:
        for _ in range(max(1, count // CHUNK)):
            state[0], values = scan(state[0], next(positions))
            jax.device_get(values)

    return steps


CHUNK = 100
"""Steps of one call of the scan; contenders make multiples of it."""


def _positions(train: Split, size: int) -> Iterator[np.ndarray]:
    """Yields the positions of the examples of `CHUNK` steps, int64 [CHUNK, size]."""
    for step in itertools.count(step=CHUNK):
        yield train.train_positions(size, 0, step, CHUNK).reshape(CHUNK, size)


def torch(work: Work, compiled: bool = False, channels_last: bool = False) -> Steps:
    """PyTorch with the data as tensors in memory, gathered by a permutation."""
    import torch
    from torch import nn

    dataset = work.dataset()
    images, labels = arrays(dataset)
    images, labels = torch.from_numpy(images.copy()), torch.from_numpy(labels).long()
    mean, std = float(dataset.mean[0]), float(dataset.std[0])
    layers, features = [], images.shape[-1]
    for channels in work.channels:
        layers += [nn.Conv2d(features, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        features = channels
    side = images.shape[1] >> len(work.channels)
    features *= side * side
    layers.append(nn.Flatten())
    for width in work.widths:
        layers += [nn.Linear(features, width), nn.ReLU()]
        features = width
    model = nn.Sequential(*layers, nn.Linear(features, len(dataset.class_names)))
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    model = model.to(memory_format=memory_format)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, foreach=True)

    def loss_of(batch, label):
        x = (batch.permute(0, 3, 1, 2).float() - mean) / std
        return nn.functional.cross_entropy(model(x.contiguous(memory_format=memory_format)), label)

    loss_of = torch.compile(loss_of) if compiled else loss_of
    size = work.experiment().global_batch_size
    positions = _positions(dataset.train, size)

    def steps(count: int) -> None:
        for _ in range(max(1, count // CHUNK)):
            for chosen in torch.from_numpy(next(positions)):
                optimizer.zero_grad(set_to_none=True)
                loss_of(images[chosen], labels[chosen]).backward()
                optimizer.step()

    return steps


def keras(work: Work) -> Steps:
    """Keras on JAX: `fit` on arrays in memory, compiled, many steps an execution."""
    import os

    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    dataset = work.dataset()
    images, labels = arrays(dataset)
    inputs = ((images - dataset.mean) / dataset.std).astype(np.float32)
    layers = []
    for channels in work.channels:
        layers += [
            keras.layers.Conv2D(channels, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
        ]
    layers.append(keras.layers.Flatten())
    layers += [keras.layers.Dense(width, "relu") for width in work.widths]
    model = keras.Sequential([*layers, keras.layers.Dense(len(dataset.class_names))])
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=CHUNK if not work.channels else 1,  # a loop makes its gradients slow
    )
    size = work.experiment().global_batch_size

    def steps(count: int) -> None:
        epoch = len(inputs) // size
        for begun in range(0, count, epoch):
            rows = min(epoch, count - begun) * size
            model.fit(inputs[:rows], labels[:rows], batch_size=size, verbose=0)

    return steps


CONTENDERS: dict[str, Callable[[Work], Steps]] = {
    "hanok": hanok,
    "bare jax scan": bare_scan,
    "torch": torch,
    "torch.compile": lambda work: torch(work, compiled=True),
    "torch channels_last": lambda work: torch(work, channels_last=True),
    "torch.compile channels_last": lambda work: torch(work, compiled=True, channels_last=True),
    "keras": keras,
}
