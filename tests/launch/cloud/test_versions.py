"""Pinned versions, and hosts that have others."""

import json
import subprocess
import sys

from launch.cloud.pack import CHECKOUT
from launch.cloud.versions import constraints, disagreements, installed, report


def test_the_versions_of_this_environment_are_pinned():
    import jax
    import numpy

    pinned = constraints(installed()).splitlines()
    assert f"jax=={jax.__version__}" in pinned
    assert f"numpy=={numpy.__version__}" in pinned


def test_what_no_index_has_is_not_pinned():
    versions = {"hanok": "0.1", "a": "1.2", "b": "1.2+local", "c": "0.1.dev3", "d": "2.0rc1"}
    assert constraints(versions) == "a==1.2\nd==2.0rc1\n"


def test_equal_hosts_agree():
    hosts = {0: report(installed()), 1: report(installed())}
    assert disagreements(hosts, installed()) == []


def test_hosts_that_differ_are_named():
    hosts = {0: {"jax": "0.10.2"}, 1: {"jax": "0.10.1"}, 2: {"jax": "0.10.2"}}
    assert disagreements(hosts, {}) == ["jax: 0.10.2 on hosts 0, 2; 0.10.1 on host 1"]


def test_hosts_that_agree_on_what_is_not_pinned_here_are_named():
    hosts = {0: {"jax": "0.10.1"}, 1: {"jax": "0.10.1"}}
    said = disagreements(hosts, {"jax": "0.10.2"})
    assert said == ["jax: 0.10.1 on hosts 0, 1 (pinned: 0.10.2)"]


def test_a_package_that_is_absent_here_is_not_compared_with_here():
    hosts = {0: {"libtpu": "0.0.42", "python": "3.11.9"}}
    assert disagreements(hosts, {"python": "1"}) == []


def test_the_report_is_one_line_and_needs_nothing_installed():
    command = [sys.executable, "-I", "-S", str(CHECKOUT / "launch/cloud/versions.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    word, text = done.stdout.split(" ", 1)
    assert word == "versions" and "\n" not in text.strip()
    assert json.loads(text)["python"] == sys.version.split()[0]
