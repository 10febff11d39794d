"""What all tests share."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import hypothesis
import pytest

# The same examples in every run, and no failure because a machine is slow.
hypothesis.settings.register_profile("hanok", deadline=None, derandomize=True)
hypothesis.settings.load_profile("hanok")


@pytest.fixture(scope="session", autouse=True)
def cache_directory(tmp_path_factory):
    """Keeps the user's cache out of the tests."""
    os.environ["HANOK_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
