"""Who trains: each prepares itself for a work and returns how it makes training steps."""

import functools
import io
import itertools
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.harness import Units, scratch
from benchmarks.torch_model import Layers
from benchmarks.work import Work, arrays
from launch import cores
from research.console import Console
from research.data.splits import Split


class Stopwatch(Console):
    """Shows nothing; measures from the first step of a run to the end of its training."""

    def __init__(self):
        super().__init__(io.StringIO())
        self.seconds = 0.0

    def start(self, total_steps: int, first_step: int) -> None:
        self._begun = time.perf_counter()

    def stop(self) -> None:
        self.seconds = time.perf_counter() - self._begun


class Hanok:
    """The training loop as users run it: metrics, event files, progress, checkpoints."""

    def __init__(self, work: Work, *overrides: str, saves_epochs: bool = False):
        """Prepares itself.

        Args:
          work: what to train.
          overrides: more of them.
          saves_epochs: whether a checkpoint is saved after each epoch.
        """
        from research.program import enable_compilation_cache

        cores.prepare(work.experiment(*overrides))
        enable_compilation_cache()
        if saves_epochs:
            steps = len(work.dataset().train) // work.experiment().global_batch_size
            overrides = (*overrides, f"--config.checkpoint.every_steps={steps}")
        self._work, self._overrides = work, overrides
        self._workdirs = map("{}/{}".format, itertools.repeat(scratch()), itertools.count())

    def train(self, steps: int) -> tuple[float, dict[str, Any]]:
        """Returns the seconds from the first step to the last, and the run's summary."""
        from research.population.run import PopulationRun
        from research.training import Run, train

        experiment = self._work.experiment(*self._overrides, f"--config.steps={steps}")
        kind = PopulationRun if experiment.population.size > 1 else Run
        watch = Stopwatch()
        outcome = train(cores.spread(experiment), next(self._workdirs), watch, kind=kind)
        return watch.seconds, outcome.summary

    def __call__(self, steps: int) -> float:
        """Makes steps; returns the seconds that they took."""
        return self.train(steps)[0]


def bare_scan(work: Work) -> Units:
    """JAX and optax alone: a jitted scan of gather, normalise, gradient and Adam."""
    import jax
    import jax.numpy as jnp
    import optax

    from research.models.network import network

    chosen, dataset = work.experiment(), work.dataset()
    images, labels = arrays(dataset.train)
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


def torch(work: Work, compiled: bool = False, channels_last: bool = False) -> Units:
    """PyTorch with the data as tensors in memory, gathered by a permutation."""
    import torch
    from torch import nn

    dataset = work.dataset()
    images, labels = arrays(dataset.train)
    images, labels = torch.from_numpy(images.copy()), torch.from_numpy(labels).long()
    mean, std = float(dataset.mean[0]), float(dataset.std[0])
    layers = Layers.of(work.experiment())
    model = layers.module(dataset.input_shape, len(dataset.class_names))
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
            for chosen in torch.tensor(next(positions)):
                optimizer.zero_grad(set_to_none=True)
                loss_of(images[chosen], labels[chosen]).backward()
                optimizer.step()

    return steps


def keras(work: Work) -> Units:
    """Keras on JAX: `fit` on arrays in memory, compiled, many steps an execution."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    dataset = work.dataset()
    images, labels = arrays(dataset.train)
    inputs = ((images - dataset.mean) / dataset.std).astype(np.float32)
    plan, layers = Layers.of(work.experiment()), []
    for channels in plan.channels:
        layers += [
            keras.layers.Conv2D(channels, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
        ]
    layers.append(keras.layers.Flatten())
    layers += [keras.layers.Dense(width, "relu") for width in plan.widths]
    model = keras.Sequential([*layers, keras.layers.Dense(len(dataset.class_names))])
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=CHUNK if not plan.channels else 1,  # a loop makes its gradients slow
    )
    size = work.experiment().global_batch_size

    def steps(count: int) -> None:
        epoch = len(inputs) // size
        for begun in range(0, count, epoch):
            rows = min(epoch, count - begun) * size
            model.fit(inputs[:rows], labels[:rows], batch_size=size, verbose=0)

    return steps


def contenders(work: Work) -> dict[str, Callable[[], Units]]:
    """Returns who can train a work, by name."""
    found = {
        "hanok": functools.partial(Hanok, work),
        "bare jax scan": functools.partial(bare_scan, work),
        "torch": functools.partial(torch, work),
        "torch.compile": functools.partial(torch, work, compiled=True),
    }
    if Layers.of(work.experiment()).channels:
        found |= {
            "hanok, one device": functools.partial(Hanok, work, "--config.mesh.shape=data:1"),
            "torch channels_last": functools.partial(torch, work, channels_last=True),
            "torch.compile channels_last": functools.partial(
                torch, work, compiled=True, channels_last=True
            ),
        }
    return {**found, "keras": functools.partial(keras, work)}
