"""Memory, data sets and the cache of simulated machines."""

import shutil

import pytest

from research.diagnosis import places
from tests.diagnosis.machines import machine, prepared

MEMORY = "MemTotal: 16000000 kB\nMemFree: 1 kB\nMemAvailable: {} kB\nHugePages_Total: 0\n"


def test_free_memory_is_what_the_system_can_give(tmp_path):
    (found,) = places.host_memory(machine(tmp_path, [("proc/meminfo", MEMORY.format(8000000))]))
    assert found.message == "host: 8.2 GB of 16.4 GB free" and not found.is_problem


def test_little_memory_is_a_problem(tmp_path):
    (found,) = places.host_memory(machine(tmp_path, [("proc/meminfo", MEMORY.format(500000))]))
    assert found.is_problem


def test_a_container_has_what_its_limit_leaves(tmp_path):
    files = [
        ("proc/meminfo", MEMORY.format(8000000)),
        ("sys/fs/cgroup/memory.max", "4000000000\n"),
        ("sys/fs/cgroup/memory.current", "3000000000\n"),
        ("sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 1000000000\n"),
    ]
    (found,) = places.host_memory(machine(tmp_path, files))
    assert found.message == "host: 2.0 GB of 4.0 GB free"


def test_a_system_that_does_not_tell_its_memory_is_passed_over(tmp_path):
    assert places.host_memory(machine(tmp_path)) == []


GPU = {"platform": "gpu", "devices": [{"kind": "NVIDIA L4"}], "said": []}


@pytest.mark.parametrize(("free", "is_problem"), [(20000, False), (9000, True)])
def test_a_gpu_must_have_the_share_that_jax_reserves(tmp_path, free, is_problem):
    simulated = machine(tmp_path, programs={"nvidia-smi": f"0, {free}, 23034\n"})
    (found,) = places.device_memory(simulated, GPU)
    assert found.message.endswith("of 24.2 GB free") and found.is_problem == is_problem


def test_a_driver_that_disagrees_with_its_library_is_told(tmp_path):
    said = "Failed to initialize NVML: Driver/library version mismatch"
    simulated = machine(tmp_path, programs={"nvidia-smi": (18, said)})
    (found,) = places.device_memory(simulated, GPU)
    assert found.message == f"nvidia-smi fails: {said}" and found.is_problem


def test_devices_that_tell_their_memory_are_believed(tmp_path):
    device = {"kind": "TPU v5 lite", "bytes_limit": 16e9, "bytes_in_use": 4e9}
    (found,) = places.device_memory(
        machine(tmp_path), {"platform": "tpu", "devices": [device], "said": []}
    )
    assert found.message == "device 0: 12.0 GB of 16.0 GB free"


def test_data_sets_are_told_apart_by_the_form_that_training_reads(tmp_path):
    files = [
        prepared("fashion_mnist/3.0.1", "array_record"),
        prepared("emnist/letters/3.1.0", "array_record"),
        prepared("mnist/3.0.1", "tfrecord"),
        ("data/cifar10/3.0.2/dataset_info.json", "{"),
    ]
    (found,) = places.data_sets(machine(tmp_path, files))
    assert "emnist/letters/3.1.0, fashion_mnist/3.0.1; not readable" in found.message
    assert "mnist/3.0.1 (tfrecord, not array_record)" in found.message
    assert "cifar10/3.0.2 (damaged, not array_record)" in found.message
    assert not found.is_problem


def test_a_folder_without_data_sets_says_how_to_get_some(tmp_path):
    (found,) = places.data_sets(machine(tmp_path))
    assert f"in {tmp_path / 'data'}: none prepared yet (launch.prepare_data" in found.message


def test_the_cache_tells_what_it_holds(tmp_path):
    files = [("cache/data/a/images.npy", 2_000_000 * "x"), ("cache/xla/b", 3_000 * "x")]
    (found,) = places.cache(machine(tmp_path, files))
    assert f"{tmp_path / 'cache'} is writable" in found.message
    assert "2.0 MB of decoded images, 3 kB of compiled programs" in found.message


def test_a_cache_that_is_not_there_yet_is_not_made(tmp_path):
    (found,) = places.cache(machine(tmp_path, HANOK_CACHE_DIR=str(tmp_path / "a/b")))
    assert f"{tmp_path / 'a/b'} is writable" in found.message
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_a_problem(tmp_path):
    # Not even root can make a folder below a file.
    (found,) = places.cache(machine(tmp_path, ["file"], HANOK_CACHE_DIR=str(tmp_path / "file/x")))
    assert f"{tmp_path / 'file/x'} can't be written to" in found.message
    assert "HANOK_CACHE_DIR" in found.remedy


def test_a_disk_that_is_nearly_full_is_a_problem(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=200_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    (found,) = places.cache(machine(tmp_path))
    assert "200.0 MB free" in found.message and "free some space" in found.remedy
