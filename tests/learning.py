"""Whole trainings on small tables in one compiled loop, for tests of what can be learned."""

import jax
import jax.numpy as jnp
import numpy as np

from research.data.base import Data
from research.data.splits import Split, open_dataset
from research.experiment import Experiment, timetable
from research.models.base import Model
from research.optimizers.base import Optimizer
from research.records import check
from research.state import Normalization
from research.steps import make_steps
from tests.tiny import masked


def accuracies(
    data: Data, model: Model, optimizer: Optimizer, epochs: float, seeds: int = 3
) -> np.ndarray:
    """Returns the accuracy on test after training with each of the seeds, in batches of 10.

    The batches and steps are those of a run; only the loop is another.
    """
    dataset = open_dataset(data)
    found, train = [], None
    for seed in range(seeds):
        experiment = Experiment(
            name="learning",
            seed=seed,
            epochs=epochs,
            global_batch_size=10,
            data=data,
            model=model,
            optimizer=optimizer,
        )
        check(experiment)
        plan = timetable(experiment, len(dataset.train))
        normalization = Normalization(mean=dataset.mean, std=dataset.std)
        steps = make_steps(
            experiment, plan, dataset.input_shape, len(dataset.class_names), normalization
        )
        train = train or _loop(steps.train_step)
        positions = [
            dataset.train.train_positions(10, seed, step) for step in range(plan.total_steps)
        ]
        state = train(jax.jit(steps.init)(), _whole(dataset.train), jnp.asarray(positions))
        confusion = steps.eval_step(state, masked(_whole(dataset.read_test())))["confusion"]
        found.append(np.trace(confusion) / confusion.sum())
    return np.array(found)


def _whole(split: Split) -> dict[str, np.ndarray]:
    return split.gather(np.arange(len(split)))


def _loop(train_step):
    @jax.jit
    def run(state, examples, positions):
        def step(state, chosen):
            return train_step(state, jax.tree.map(lambda x: x[chosen], examples))[0], None

        return jax.lax.scan(step, state, positions)[0]

    return run
