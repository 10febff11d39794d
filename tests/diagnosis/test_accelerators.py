"""Why a TPU or a GPU is not seen, on machines that are simulated."""

import dataclasses
import subprocess

import pytest

from research.diagnosis import accelerators
from research.diagnosis.machine import Machine
from research.diagnosis.report import diagnose, why_not
from tests.diagnosis.machines import CUDA, LIBTPU, Package, fails, machine

TPU = {"platform": "tpu", "devices": 4 * [{"kind": "TPU v5 lite"}], "said": []}
GPU = {"platform": "gpu", "devices": [{"kind": "NVIDIA L4"}], "said": []}
GPU_FILES = ("dev/nvidia0", "dev/nvidiactl")
DRIVER = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Mon Jan 1 2024\nGCC version: 12.2"


def problems(simulated, demanded=""):
    """Returns (message, remedy) of everything that has to be mended."""
    return [(found.message, found.remedy) for found in diagnose(simulated, demanded).problems]


def test_a_machine_without_accelerators_is_well(tmp_path):
    assert problems(machine(tmp_path)) == []


def test_a_tpu_that_is_seen_is_well(tmp_path):
    seen = diagnose(machine(tmp_path, ["dev/accel0"], packages=LIBTPU, sees=TPU))
    assert seen.problems == []
    assert "JAX uses tpu: 4 × TPU v5 lite" in seen.as_text()


@pytest.mark.parametrize("node", ["dev/accel0", "dev/vfio/0"])
def test_a_tpu_without_libtpu_names_the_extra_that_brings_it(tmp_path, node):
    ((message, remedy),) = problems(machine(tmp_path, [node]))
    assert message == f"/{node} is there, but JAX does not see it: libtpu is not installed"
    assert remedy == "pip install -e '.[tpu]'"


def test_a_device_that_is_handed_on_by_vfio_is_not_taken_for_a_tpu(tmp_path):
    files = ["dev/vfio/12", ("sys/kernel/iommu_groups/12/devices/0000:00:05.0/vendor", "0x8086\n")]
    assert problems(machine(tmp_path, files)) == []


def test_a_tpu_that_a_process_holds_names_it(tmp_path):
    held = machine(
        tmp_path,
        ["dev/accel0", "dev/accel1", "tmp/libtpu_lockfile"],
        processes={4242: ("python", "/dev/accel1"), 17: ("sshd", "/dev/null")},
        packages=LIBTPU,
    )
    ((message, remedy),) = problems(held)
    assert message.endswith("process 4242 (python) holds it")
    assert remedy == "end that process: kill 4242"


def test_a_process_that_has_a_file_open_is_found_on_this_very_machine(tmp_path):
    node = tmp_path / "accel0"
    node.touch()
    kind = dataclasses.replace(accelerators.TPU, nodes=(str(node.relative_to("/")),))
    assert accelerators.probe(kind, Machine()).holders == {}
    with node.open() as file, subprocess.Popen(["sleep", "60"], stdin=file) as process:
        found = accelerators.probe(kind, Machine())
        process.kill()
    assert found.nodes == (str(node),) and found.holders == {process.pid: "sleep"}


def test_a_lock_that_nobody_holds_is_to_be_removed(tmp_path):
    left = machine(tmp_path, ["dev/accel0", "tmp/libtpu_lockfile"], packages=LIBTPU)
    ((message, remedy),) = problems(left)
    assert "/tmp/libtpu_lockfile is there, but no process seems to hold it" in message
    assert remedy == "sudo rm /tmp/libtpu_lockfile"


def test_the_environment_that_forbids_a_tpu_is_named(tmp_path):
    forbidden = machine(tmp_path, ["dev/accel0"], packages=LIBTPU, JAX_PLATFORMS="cpu")
    ((message, remedy),) = problems(forbidden)
    assert message.endswith("JAX_PLATFORMS=cpu is set in the environment")
    assert remedy == "unset JAX_PLATFORMS"


def test_an_accelerator_that_is_not_wanted_is_no_problem(tmp_path):
    assert problems(machine(tmp_path, ["dev/accel0"]), demanded="cpu") == []


def test_without_a_reason_of_ours_that_of_jax_is_told(tmp_path):
    sees = fails(
        "Unable to initialize backend 'cuda': ",
        "Unable to initialize backend 'tpu': UNKNOWN: TPU initialization failed: it is on fire",
    )
    ((message, remedy),) = problems(machine(tmp_path, ["dev/accel0"], packages=LIBTPU, sees=sees))
    assert message.endswith("TPU initialization failed: it is on fire") and "cuda" not in message
    assert "/tmp/tpu_logs" in remedy


def test_a_gpu_without_a_plugin_names_the_extra_that_brings_it(tmp_path):
    ((message, remedy),) = problems(machine(tmp_path, GPU_FILES))
    assert message.startswith("/dev/nvidia0 is there, but JAX does not see it: ")
    assert "jax-cuda12-plugin or jax-cuda13-plugin is not installed" in message
    assert remedy == "pip install -e '.[cuda]'"


@pytest.mark.parametrize(("driver", "is_too_old"), [("470.82.01", True), ("535.104.05", False)])
def test_a_driver_that_is_too_old_for_the_plugin_is_named(tmp_path, driver, is_too_old):
    files = [*GPU_FILES, ("proc/driver/nvidia/version", DRIVER.format(driver))]
    sees = fails("Unable to initialize backend 'cuda': no supported devices found")
    ((message, remedy),) = problems(machine(tmp_path, files, packages=CUDA, sees=sees))
    assert ("NVIDIA's driver 470.82.01 is too old for jax-cuda12-plugin" in message) == is_too_old
    assert (remedy == "install driver 525 or newer") == is_too_old


def test_a_gpu_whose_memory_a_process_may_have_taken_names_it(tmp_path):
    sees = fails("Unable to initialize backend 'cuda': RESOURCE_EXHAUSTED: out of memory")
    held = machine(
        tmp_path, GPU_FILES, {4242: ("python3", "/dev/nvidia0")}, packages=CUDA, sees=sees
    )
    ((message, remedy),) = problems(held)
    assert message.endswith("process 4242 (python3) holds it")
    assert remedy == "end that process: kill 4242"


def test_a_gpu_hidden_by_the_environment_is_found(tmp_path):
    ((message, remedy),) = problems(
        machine(tmp_path, GPU_FILES, packages=CUDA, CUDA_VISIBLE_DEVICES="")
    )
    assert message.endswith("CUDA_VISIBLE_DEVICES hides it")
    assert remedy == "unset CUDA_VISIBLE_DEVICES"


def test_a_gpu_on_the_bus_without_its_driver_is_a_problem_where_it_is_wanted(tmp_path):
    device = "sys/bus/pci/devices/0000:01:00.0"
    files = [(f"{device}/vendor", "0x10de\n"), (f"{device}/class", "0x030000\n")]
    idle = machine(tmp_path, files)
    assert problems(idle) == []
    ((message, remedy),) = problems(idle, demanded="gpu")
    assert message == "an NVIDIA GPU is on the PCI bus, but its driver is not loaded"
    assert "modprobe nvidia" in remedy


def test_libtpu_without_a_tpu_is_no_problem(tmp_path):
    found = diagnose(machine(tmp_path, packages=LIBTPU))
    assert found.problems == [] and "none here; libtpu 0.0.42.1 is installed" in found.as_text()


def test_a_jax_that_does_not_start_is_a_problem_of_its_own(tmp_path):
    ((message, _),) = problems(machine(tmp_path, sees=fails("it ended with exit code -6")))
    assert message == "JAX does not start: it ended with exit code -6"


def must_not_be_asked(platform):
    raise AssertionError("JAX was asked")


@pytest.mark.parametrize("platform", ["tpu", "gpu"])
def test_what_is_not_there_is_refused_without_asking_jax(tmp_path, platform):
    simulated = dataclasses.replace(machine(tmp_path), look=must_not_be_asked)
    (problem,) = why_not(platform, simulated)
    assert problem.message.startswith("there is no ") and "on this machine" in problem.message


def test_what_is_there_and_seen_is_not_refused(tmp_path):
    assert why_not("tpu", machine(tmp_path, ["dev/accel0"], packages=LIBTPU, sees=TPU)) == []
    assert why_not("gpu", machine(tmp_path, GPU_FILES, packages=CUDA, sees=GPU)) == []
    assert why_not("cpu", machine(tmp_path)) == []


def test_another_platform_than_the_one_asked_for_is_refused(tmp_path):
    (problem,) = why_not("cpu", machine(tmp_path, GPU_FILES, packages=CUDA, sees=GPU))
    assert problem.message == "JAX uses gpu: 1 × NVIDIA L4"


def test_an_environment_that_contradicts_is_refused_rather_than_overruled(tmp_path):
    (problem,) = why_not("cpu", machine(tmp_path, JAX_PLATFORMS="tpu"))
    assert problem.message == "JAX_PLATFORMS=tpu is set in the environment"


def test_a_plugin_of_another_release_is_a_problem_too(tmp_path):
    packages = {"jax-cuda12-plugin": Package("0.9.0")}
    found = problems(machine(tmp_path, GPU_FILES, packages=packages, sees=fails("'cuda': no")))
    assert "pip install 'jax-cuda12-plugin[with-cuda]<=0.10.2,>=0.10.2'" in dict(found).values()
