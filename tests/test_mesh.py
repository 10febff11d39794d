"""Placement: which arrays live where, and that it changes no result."""

import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec
from scipy.signal import correlate2d

import research
from research import mesh
from research.errors import UserError
from research.models.cnn import Cnn
from research.optimizers.adam import Adam
from tests import sharded, tiny

REPOSITORY = pathlib.Path(research.__file__).parents[1]
EIGHT = AbstractMesh((8,), ("data",))


@pytest.fixture(scope="module")
def shapes():
    """The shapes of a state with all that a state may hold."""
    chosen = tiny.experiment(model=Cnn(stages=((2,),)), optimizer=Adam(ema_decay=0.9))
    return jax.eval_shape(tiny.steps(chosen).init)


@pytest.fixture(scope="module")
def on_one_device():
    return sharded.outcome()


@pytest.fixture(scope="module")
def on_eight_devices(tmp_path_factory):
    """The same in a process of its own: the number of devices is fixed at its start."""
    path = tmp_path_factory.mktemp("eight") / "result.npz"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8"}
    subprocess.run(
        [sys.executable, "-m", "tests.sharded", str(path)],
        cwd=REPOSITORY,
        env=environment,
        check=True,
    )
    with np.load(path) as file:
        return dict(file)


def test_batch_is_divided_evenly_over_eight_devices(on_eight_devices):
    assert (on_eight_devices["devices"], on_eight_devices["examples_per_device"]) == (8, 2)


def test_initial_state_is_bitwise_the_same_on_eight_devices_as_on_one(
    on_one_device, on_eight_devices
):
    names = [name for name in on_one_device if name.startswith("initial/")]
    assert len(names) > 20
    for name in names:
        np.testing.assert_array_equal(on_eight_devices[name], on_one_device[name], name)


def test_training_and_evaluation_are_the_same_on_eight_devices_as_on_one(
    on_one_device, on_eight_devices
):
    assert set(on_one_device) == set(on_eight_devices)
    for name in set(on_one_device) - {"devices", "examples_per_device"}:
        np.testing.assert_allclose(
            on_eight_devices[name], on_one_device[name], rtol=1e-4, atol=1e-5, err_msg=name
        )


def test_running_statistics_on_eight_devices_are_those_of_the_global_batch(on_eight_devices):
    images = (on_eight_devices["first/batch/image"][..., 0] - tiny.MEAN) / tiny.STD
    kernel = on_eight_devices["initial/params/conv_0_0/kernel"]
    z = np.stack([[correlate2d(x, kernel[..., 0, k], "same") for k in range(4)] for x in images])
    variance = z.var(axis=(0, 2, 3))
    variance_on_a_device = z.reshape(8, 2, 4, 4, 4).var(axis=(1, 3, 4)).mean(axis=0)
    assert (variance > 1.1 * variance_on_a_device).all()
    found = on_eight_devices["first/state/batch_stats/conv_0_0_norm/var"]
    np.testing.assert_allclose(found, 0.9 + 0.1 * variance, rtol=1e-5)


def test_mesh_holds_all_devices_along_the_data_axis():
    found = mesh.make_mesh()
    assert found.axis_names == ("data",) and found.axis_types == (AxisType.Auto,)
    assert list(found.devices.flat) == jax.devices()
    assert mesh.batch_sharding(found).spec == PartitionSpec("data")


def test_every_array_of_the_state_has_a_sharding(shapes):
    found = mesh.state_shardings(EIGHT, shapes)
    assert jax.tree.structure(found) == jax.tree.structure(shapes)
    assert all(
        isinstance(leaf, NamedSharding) and leaf.mesh == EIGHT for leaf in jax.tree.leaves(found)
    )


def test_parameters_are_copied_to_every_device_by_default(shapes):
    shardings = jax.tree.leaves(mesh.state_shardings(EIGHT, shapes))
    assert {sharding.spec for sharding in shardings} == {PartitionSpec()}


def test_first_rule_whose_pattern_is_found_in_the_path_decides(shapes, monkeypatch):
    rules = [
        ("dense_0/kernel", PartitionSpec("data")),
        ("kernel", PartitionSpec(None, "data")),
        ("", PartitionSpec()),
    ]
    monkeypatch.setattr(mesh, "RULES", rules)
    found = mesh.state_shardings(EIGHT, shapes)
    # One rule serves a parameter, its average and the optimizer's memory of it.
    for tree in (found.params, found.ema_params, found.opt_state[0].mu):
        assert tree["dense_0"]["kernel"].spec == PartitionSpec("data")
        assert tree["logits"]["kernel"].spec == PartitionSpec(None, "data")
        assert tree["logits"]["bias"].spec == PartitionSpec()


def test_paths_are_names_joined_by_slashes(shapes):
    names = {mesh.path_name(path) for path, _ in jax.tree.leaves_with_path(shapes)}
    assert {
        "step",
        "params/dense_0/kernel",
        "batch_stats/conv_0_0_norm/mean",
        "opt_state/0/mu/dense_0/kernel",
        "interval/loss",
        "normalization/mean",
    } <= names


@pytest.mark.parametrize("size", [8, 16, 64])
def test_batch_that_the_devices_share_evenly_is_accepted(size):
    mesh.check_divisible(size, EIGHT, "config.global_batch_size")


@pytest.mark.parametrize(("size", "nearest"), [(60, "56 or 64"), (9, "8 or 16"), (3, "8")])
def test_batch_that_they_cannot_share_is_refused_with_the_nearest_sizes(size, nearest):
    with pytest.raises(UserError) as error:
        mesh.check_divisible(size, EIGHT, "config.global_batch_size")
    assert str(error.value) == (
        f"config.global_batch_size: {size} examples can't be divided evenly over 8 devices; "
        f"the nearest sizes that can are {nearest}"
    )


def test_mesh_is_described_in_a_line():
    device = jax.devices()[0]
    found = mesh.describe(jax.make_mesh((1,), ("data",), devices=[device]))
    assert found == f"1 × {device.device_kind} ({device.platform}), mesh data:1"
