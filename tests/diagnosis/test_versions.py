"""Installed versions against those that Hanok and jax say they need."""

import importlib.metadata

import pytest

from research.diagnosis import versions
from research.diagnosis.machine import Machine
from tests.diagnosis.machines import CUDA, LIBTPU, Package, machine


def problems(simulated):
    return [(f.message, f.remedy) for f in versions.check(simulated)[1] if f.is_problem]


def test_versions_within_the_bounds_are_well(tmp_path):
    found, findings = versions.check(machine(tmp_path, packages={**LIBTPU, **CUDA}))
    assert [finding.remedy for finding in findings] == ["", ""]
    assert found == {
        "flax": "0.12.8", "jax": "0.10.2", "jaxlib": "0.10.2",
        "libtpu": "0.0.42.1", "jax-cuda12-plugin": "0.10.2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "version", "owner", "bounds"),
    [
        ("flax", "0.11.0", "hanok 0.1.0", "flax<0.13,>=0.12.8"),
        ("flax", "0.13.0", "hanok 0.1.0", "flax<0.13,>=0.12.8"),
        ("tensorflow-cpu", "2.19", "hanok 0.1.0", "tensorflow-cpu<2.22,>=2.20"),
        ("jaxlib", "0.9.0", "jax 0.10.2", "jaxlib<=0.10.2,>=0.10.1"),
        ("libtpu", "0.0.41", "jax 0.10.2", "libtpu==0.0.42.*"),
    ],
)
def test_a_version_out_of_bounds_names_who_needs_which(tmp_path, name, version, owner, bounds):
    ((message, remedy),) = problems(machine(tmp_path, packages={name: Package(version)}))
    assert message == f"{name} {version}; {owner} is for {bounds}"
    assert remedy == f"pip install '{bounds}'"


@pytest.mark.parametrize("plugin", ["jax-cuda12-plugin", "jax-cuda13-plugin"])
def test_a_plugin_of_another_release_is_replaced_with_its_libraries(tmp_path, plugin):
    ((message, remedy),) = problems(machine(tmp_path, packages={plugin: Package("0.9.0")}))
    assert message == f"{plugin} 0.9.0; jax 0.10.2 is for {plugin}<=0.10.2,>=0.10.2"
    assert remedy == f"pip install '{plugin}[with-cuda]<=0.10.2,>=0.10.2'"


def test_libraries_of_cuda_are_checked_as_the_plugin_asks(tmp_path):
    packages = {**CUDA, "nvidia-cudnn-cu12": Package("8.9")}
    ((message, _),) = problems(machine(tmp_path, packages=packages))
    assert (
        message == "nvidia-cudnn-cu12 8.9; jax-cuda12-plugin 0.10.2 is for nvidia-cudnn-cu12>=9.8"
    )


def test_a_release_candidate_within_the_bounds_is_well(tmp_path):
    assert problems(machine(tmp_path, packages={"flax": Package("0.12.9rc1")})) == []


def test_a_missing_package_is_to_be_installed(tmp_path):
    ((message, remedy),) = problems(machine(tmp_path, packages={"jaxlib": None}))
    assert message.startswith("jaxlib is not installed; jax 0.10.2 is for jaxlib")
    assert remedy == "pip install 'jaxlib<=0.10.2,>=0.10.1'"


def test_a_python_out_of_bounds_is_a_problem(tmp_path):
    ((message, remedy),) = problems(machine(tmp_path, python="3.10.13"))
    assert message == "3.10.13 (tested: <3.14,>=3.11), /usr/bin/python3"
    assert remedy == "install Hanok in a virtual environment of a Python <3.14,>=3.11"


def test_without_hanok_itself_nothing_can_be_compared(tmp_path):
    ((message, remedy),) = problems(machine(tmp_path, packages={"hanok": None}))
    assert "Hanok is not installed" in message and "pip install -e ." in remedy


def test_the_bounds_are_those_of_the_installed_metadata():
    found, _ = versions.check(Machine())
    assert found["jax"] == importlib.metadata.version("jax")
    required = importlib.metadata.requires("hanok")
    assert len([line for line in required if "extra" not in line]) <= len(found)
