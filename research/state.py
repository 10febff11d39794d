"""The training state: a pytree that holds all that a run has to remember."""

import math
import types
from collections.abc import Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np

from research.data.splits import Dataset
from research.models.network import Network
from research.optimizers.chain import Chain
from research.paths import path_name


@flax.struct.dataclass
class Normalization:
    """Statistics of the training split along the inputs' last axis, float32.

    They are part of the state so that a checkpoint can be evaluated and
    exported without the data it was trained on.
    """

    mean: jax.Array
    std: jax.Array

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Inputs of any dtype -> float32, zero mean and unit variance."""

        def of_each(statistic):
            return jnp.broadcast_to(statistic, inputs.shape[1:]).reshape(-1)

        # In one dimension: a CPU's vectors would else be filled by three channels.
        flat = inputs.reshape(len(inputs), -1).astype(jnp.float32)
        return ((flat - of_each(self.mean)) / of_each(self.std)).reshape(inputs.shape)

    def targets(self, labels: jax.Array) -> jax.Array:
        """Labels -> what the outputs are to say: classes as they are."""
        return labels


@flax.struct.dataclass
class NormalizationWithTarget(Normalization):
    """The same with statistics of the numbers to be predicted, float32 scalars."""

    target_mean: jax.Array
    target_std: jax.Array

    def targets(self, labels: jax.Array) -> jax.Array:
        """Numbers to be predicted -> the same, of zero mean and unit variance."""
        return (labels - self.target_mean) / self.target_std


def normalization(dataset: Dataset) -> Normalization:
    """Returns the statistics of a data set."""
    if dataset.target is None:
        return Normalization(dataset.mean, dataset.std)
    return NormalizationWithTarget(dataset.mean, dataset.std, *dataset.target)


@flax.struct.dataclass
class Interval:
    """Sums over the training steps since the last line of metrics, scalars.

    They live in the state rather than beside it: a run that is stopped between
    two lines writes the same next line as one that was not.
    """

    steps: jax.Array
    examples: jax.Array
    loss: jax.Array
    correct: jax.Array
    gradient_norm: jax.Array

    @classmethod
    def empty(cls) -> "Interval":
        """Returns sums over no steps."""
        return cls(
            steps=jnp.zeros((), jnp.int32),
            examples=jnp.zeros((), jnp.int32),
            loss=jnp.zeros((), jnp.float32),
            correct=jnp.zeros((), jnp.int32),
            gradient_norm=jnp.zeros((), jnp.float32),
        )


@flax.struct.dataclass
class Skips:
    """How many steps were skipped as not finite (`apply_if_finite`), int32 scalars."""

    total: jax.Array
    in_a_row: jax.Array

    @classmethod
    def none(cls) -> "Skips":
        """Returns the counts before the first step."""
        return cls(total=jnp.zeros((), jnp.int32), in_a_row=jnp.zeros((), jnp.int32))


@flax.struct.dataclass
class TrainState:
    """Everything that training changes, and what evaluation needs.

    Attributes:
      step: int32 scalar, training steps made.
      seed: uint32 scalar; with `step` it decides every random draw.
      params: trained parameters, float32.
      batch_stats: BatchNorm's running statistics, {} where there are none.
      opt_state: the optax chain's state.
      average: average of `params` over time, {} where none is kept.
      interval: sums for the next line of metrics.
      first_nonfinite_step: int32 scalar, the first step (counted from 1) whose
        loss or gradient was not finite and could not be skipped; 0 while there
        is none.
      skips: how many steps were skipped, {} where none may be.
      normalization: statistics of the training split.
    """

    step: jax.Array
    seed: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    average: Any
    interval: Interval
    first_nonfinite_step: jax.Array
    skips: Any
    normalization: Normalization

    @property
    def counted_steps(self) -> jax.Array:
        """Steps made that were not skipped, which schedules count; int32 scalar."""
        return self.step - self.skips.total if self.skips else self.step


def init_state(
    network: Network,
    chain: Chain,
    seed: int,
    input_shape: tuple[int, ...],
    normalization: Normalization,
    with_skips: bool,
    given: Mapping[str, np.ndarray] = types.MappingProxyType({}),
) -> TrainState:
    """Returns the state before the first step; traceable, to be jitted.

    Args:
      network: the model's pure functions.
      chain: the optimizer.
      seed: equal seeds give equal states.
      input_shape: that of one input.
      normalization: statistics of the training split.
      with_skips: whether steps that are not finite may be skipped.
      given: initial values of the parameters, by their paths, that are not drawn.
    """
    variables = network.init(parameter_key(seed), jnp.zeros((1, *input_shape)))
    params = _with_given(given, variables["params"])
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        seed=jnp.asarray(seed, jnp.uint32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=chain.transformation.init(params),
        average=jax.tree.map(jnp.copy, params) if chain.averages else {},
        interval=Interval.empty(),
        first_nonfinite_step=jnp.zeros((), jnp.int32),
        skips=Skips.none() if with_skips else {},
        normalization=normalization,
    )


def _with_given(given: Mapping[str, np.ndarray], params: Any) -> Any:
    shapes = {path_name(path): leaf.shape for path, leaf in jax.tree.leaves_with_path(params)}
    if wrong := [path for path in given if shapes.get(path) != given[path].shape]:
        raise ValueError(f"the network has no parameters {wrong} of the shapes that are given")
    return jax.tree_util.tree_map_with_path(
        lambda path, drawn: jnp.asarray(given.get(path_name(path), drawn)), params
    )


def parameter_key(seed: jax.Array | int) -> jax.Array:
    """The key that initial parameters are drawn with."""
    return jax.random.fold_in(jax.random.key(seed), 0)


def dropout_key(seed: jax.Array, step: jax.Array) -> jax.Array:
    """The key of the dropout masks of one training step (counted from 0)."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 1), step)


def augmentation_key(seed: jax.Array, step: jax.Array) -> jax.Array:
    """The key of the augmentation of one training step (counted from 0)."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 2), step)


def averaged(state: TrainState) -> TrainState:
    """Returns the state with the averaged parameters in place of the last ones."""
    return state.replace(params=state.average)


def is_finite(state: TrainState) -> jax.Array:
    """Returns whether each array of a state is sound, bool [leaves]; traceable.

    Parameters, statistics and averages must be finite. The optimizer's memory
    must hold no NaN; an infinity may be where some methods start.
    """

    def sound(path, leaf):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.asarray(True)
        if path[0].name in ("opt_state", "interval"):
            return ~jnp.isnan(leaf).any()
        return jnp.isfinite(leaf).all()

    return jnp.stack(jax.tree.leaves(jax.tree_util.tree_map_with_path(sound, state)))


def count_parameters(state: TrainState) -> int:
    """Returns the number of trained parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(state.params))


def bytes_per_device(state: TrainState) -> int:
    """Returns the bytes of the whole state that one device holds."""
    return sum(
        leaf.dtype.itemsize * math.prod(leaf.sharding.shard_shape(leaf.shape))
        for leaf in jax.tree.leaves(state)
    )
