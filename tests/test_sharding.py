"""Which array lives where: rules over the paths of the training state."""

import math

import jax
import pytest
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec

from research import sharding
from research.models.cnn import Cnn
from research.optimizers.adam import Adam
from research.sharding import path_name, state_shardings
from tests import tiny

EIGHT = AbstractMesh((8,), ("data",))
FOUR_BY_TWO = AbstractMesh((4, 2), ("data", "model"))


@pytest.fixture(scope="module")
def shapes():
    """The shapes of a state with all that a state may hold."""
    chosen = tiny.experiment(
        model=Cnn(stages=((16,), (64,)), widths=(64,)), optimizer=Adam(ema_decay=0.9)
    )
    return jax.eval_shape(tiny.steps(chosen).init)


def specs(mesh, shapes, **options):
    """Path -> spec of every array."""
    leaves = jax.tree.leaves_with_path(state_shardings(mesh, shapes, **options))
    return {path_name(path): leaf.spec for path, leaf in leaves}


def test_every_array_of_the_state_has_a_sharding(shapes):
    found = state_shardings(EIGHT, shapes)
    assert jax.tree.structure(found) == jax.tree.structure(shapes)
    assert all(
        isinstance(leaf, NamedSharding) and leaf.mesh == EIGHT for leaf in jax.tree.leaves(found)
    )


def test_without_a_model_axis_everything_is_on_every_device(shapes):
    assert set(specs(EIGHT, shapes).values()) == {PartitionSpec()}


@pytest.mark.parametrize("prefix", ["params", "average", "opt_state/0/mu", "opt_state/0/nu"])
def test_one_rule_serves_a_parameter_its_average_and_the_optimizers_memory(shapes, prefix):
    found = specs(FOUR_BY_TWO, shapes)
    assert {name: found[f"{prefix}/{name}"] for name in (
        "conv_0_0/kernel", "conv_0_0_norm/scale", "dense_0/kernel", "logits/kernel", "logits/bias"
    )} == {
        "conv_0_0/kernel": PartitionSpec(None, None, None, "model"),
        "conv_0_0_norm/scale": PartitionSpec("model"),
        "dense_0/kernel": PartitionSpec(None, "model"),
        "logits/kernel": PartitionSpec("model"),
        "logits/bias": PartitionSpec(),
    }  # fmt: skip


def test_running_statistics_lie_with_their_channels(shapes):
    assert specs(FOUR_BY_TWO, shapes)["batch_stats/conv_0_0_norm/mean"] == PartitionSpec("model")


def test_statistics_of_the_data_are_on_every_device(shapes):
    assert specs(AbstractMesh((1,), ("model",)), shapes)["normalization/mean"] == PartitionSpec()


def test_a_dimension_that_its_axis_does_not_divide_stays_whole():
    odd = {"dense": {"kernel": jax.ShapeDtypeStruct((4, 7), "float32")}}
    assert specs(FOUR_BY_TWO, odd) == {"dense/kernel": PartitionSpec()}


def test_fsdp_divides_the_largest_dimension_that_is_whole(shapes):
    found = specs(FOUR_BY_TWO, shapes, fsdp=True)
    for prefix in ("params", "opt_state/0/mu"):
        assert found[f"{prefix}/conv_1_0/kernel"] == PartitionSpec(None, None, "data", "model")
        assert found[f"{prefix}/dense_0/kernel"] == PartitionSpec("data", "model")


def test_fsdp_leaves_an_eighth_of_what_is_large_on_each_of_eight(shapes):
    found = state_shardings(EIGHT, shapes, fsdp=True)
    large = [
        (leaf, placed)
        for leaf, placed in zip(jax.tree.leaves(shapes), jax.tree.leaves(found), strict=True)
        if math.prod(leaf.shape) >= sharding.SMALLEST_DIVIDED
    ]
    assert len(large) >= 8
    for leaf, placed in large:
        assert 8 * math.prod(placed.shard_shape(leaf.shape)) == math.prod(leaf.shape)


def test_first_rule_whose_pattern_is_found_in_the_path_decides(shapes, monkeypatch):
    rules = [
        ("conv_0_0/kernel", PartitionSpec("model", None)),
        ("kernel", PartitionSpec("model")),
        ("", PartitionSpec()),
    ]
    monkeypatch.setattr(sharding, "RULES", rules)
    found = specs(AbstractMesh((1,), ("model",)), shapes)
    assert found["params/conv_0_0/kernel"] == PartitionSpec(None, None, "model")
    assert found["params/dense_0/kernel"] == PartitionSpec(None, "model")
    assert found["params/conv_0_0_norm/scale"] == PartitionSpec()


def test_paths_are_names_joined_by_slashes(shapes):
    names = {path_name(path) for path, _ in jax.tree.leaves_with_path(shapes)}
    assert {
        "step",
        "params/dense_0/kernel",
        "batch_stats/conv_0_0_norm/mean",
        "opt_state/0/mu/dense_0/kernel",
        "interval/loss",
        "normalization/mean",
    } <= names
