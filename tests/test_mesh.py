"""Placement: which arrays live where, and that it changes no result."""

import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType, PartitionSpec
from scipy.signal import correlate2d

import research
from research import mesh
from research.errors import UserError
from research.experiment import Mesh
from research.records import check
from tests import sharded, tiny

REPOSITORY = pathlib.Path(research.__file__).parents[1]
EIGHT = AbstractMesh((8,), ("data",))


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


@pytest.mark.parametrize("feed", ["resident", "streamed"])
def test_feeds_give_eight_devices_the_batch_of_one(on_one_device, on_eight_devices, feed):
    for name in ("input", "label"):
        expected = on_one_device[f"batch/{name}"]
        np.testing.assert_array_equal(on_eight_devices[f"{feed}/{name}"], expected)


def test_parts_of_the_devices_partition_an_epoch_exactly(on_one_device, on_eight_devices):
    in_an_epoch = on_eight_devices["held"][:, : tiny.NUM_TRAIN // 8]
    np.testing.assert_array_equal(np.sort(in_an_epoch, axis=None), np.arange(tiny.NUM_TRAIN))
    # Side by side they are the batches of one device.
    batches = on_eight_devices["held"].reshape(8, sharded.STEPS, 2).swapaxes(0, 1)
    np.testing.assert_array_equal(batches.ravel(), on_one_device["held"].ravel())


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
    for name in set(on_one_device) - {"devices", "examples_per_device", "held"}:
        np.testing.assert_allclose(
            on_eight_devices[name], on_one_device[name], rtol=1e-4, atol=1e-5, err_msg=name
        )


def test_running_statistics_on_eight_devices_are_those_of_the_global_batch(on_eight_devices):
    images = (on_eight_devices["first/batch/input"][..., 0] - tiny.MEAN) / tiny.STD
    kernel = on_eight_devices["initial/params/conv_0_0/kernel"]
    z = np.stack([[correlate2d(x, kernel[..., 0, k], "same") for k in range(4)] for x in images])
    variance = z.var(axis=(0, 2, 3))
    variance_on_a_device = z.reshape(8, 2, 4, 4, 4).var(axis=(1, 3, 4)).mean(axis=0)
    assert (variance > 1.1 * variance_on_a_device).all()
    found = on_eight_devices["first/state/batch_stats/conv_0_0_norm/var"]
    np.testing.assert_allclose(found, 0.9 + 0.1 * variance, rtol=1e-5)


def test_mesh_holds_all_devices_along_the_data_axis():
    found = mesh.make_mesh(Mesh())
    assert found.axis_names == ("data",) and found.axis_types == (AxisType.Auto,)
    assert list(found.devices.flat) == jax.devices()
    assert mesh.batch_sharding(found).spec == PartitionSpec("data")


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


@pytest.mark.parametrize(
    ("shape", "devices", "sizes"),
    [
        ("auto", 8, {"data": 8}),
        ("data:2", 8, {"data": 2}),
        ("data:4,model:2", 8, {"data": 4, "model": 2}),
        ("model:2,data:4", 8, {"model": 2, "data": 4}),
        ("model:4", 8, {"data": 2, "model": 4}),
        ("model:1", 1, {"data": 1, "model": 1}),
    ],
)
def test_shape_gives_axes_and_data_takes_what_the_others_leave(shape, devices, sizes):
    assert Mesh(shape=shape).sizes(devices) == sizes


@pytest.mark.parametrize("shape", ["data:4,model:2", "data:8", "model:8"])
def test_shape_that_needs_more_devices_than_there_are_is_refused(shape):
    with pytest.raises(UserError) as error:
        Mesh(shape=shape).sizes(4)
    assert str(error.value) == f"config.mesh.shape: {shape} needs 8 devices; there are 4"


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("date:4", "Did you mean 'data'?"),
        ("data", "takes 'auto' or axes and sizes such as 'data:4,model:2', not 'data'"),
        ("data:0", "not 'data:0'"),
        ("data:-1", "not 'data:-1'"),
        ("data:²", "not 'data:²'"),
        ("data:2,data:2", "gives 'data' twice"),
        ("", "unknown name ''"),
    ],
)
def test_shape_that_says_nothing_is_refused(shape, message):
    with pytest.raises(UserError) as error:
        check(Mesh(shape=shape), "config.mesh")
    assert message in str(error.value) and str(error.value).startswith("config.mesh.shape: ")


def test_pmap_divides_nothing_but_the_batch():
    check(Mesh(shape="data:8,model:1", mode="pmap"))
    with pytest.raises(UserError, match="the shape data:4,model:2 wants more"):
        check(Mesh(shape="data:4,model:2", mode="pmap"))


def test_mesh_is_described_in_a_line():
    device = jax.devices()[0]
    found = mesh.describe(jax.make_mesh((1,), ("data",), devices=[device]), "fsdp")
    assert found == f"1 × {device.device_kind} ({device.platform}), mesh data:1, fsdp"
