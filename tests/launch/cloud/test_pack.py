"""The archive that goes to other machines."""

import tarfile

import pytest

from launch.cloud import pack
from research.errors import UserError
from tests.launch.cloud.cloud import needs_git


@needs_git
def test_the_archive_holds_the_checkout_and_pinned_versions(tmp_path):
    pack.main([f"--output={tmp_path / 'hanok.tar.gz'}"])
    with tarfile.open(tmp_path / "hanok.tar.gz") as archive:
        names = set(archive.getnames())
        assert {"setup.cfg", "research/training.py", "launch/cloud/host.sh"} <= names
        assert not [name for name in names if "__pycache__" in name or name.startswith(".git/")]
        assert archive.getmember("launch/cloud/host.sh").mode & 0o100
        assert b"\njax==" in archive.extractfile("constraints.txt").read()


@needs_git
def test_equal_checkouts_make_equal_archives(tmp_path):
    first, second = tmp_path / "a.tar.gz", tmp_path / "a" / "a.tar.gz"
    pack.main([f"--output={first}"])
    pack.main([f"--output={second}"])
    assert first.read_bytes() == second.read_bytes()


@needs_git
def test_a_checkout_that_is_too_big_is_refused_with_its_largest_files(monkeypatch):
    monkeypatch.setattr(pack, "LARGEST_MEGABYTES", 0.1)
    with pytest.raises(UserError, match="the largest files are .* MB"):
        pack.checkout_files()


def test_a_folder_that_git_does_not_know_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "CHECKOUT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UserError, match="Launch from a git checkout"):
        pack.checkout_files()


def test_it_asks_for_an_output():
    with pytest.raises(UserError, match="--output"):
        pack.main([])
