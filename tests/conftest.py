"""What all tests share."""

import os
import pathlib

import hypothesis
import pytest

from launch import cli

os.environ.setdefault("JAX_PLATFORMS", "cpu")
QUICKLY = "--xla_backend_optimization_level=0"
"""LLVM's passes are most of the time that the tests take, whose programs run for a moment;
XLA's own passes are those of users."""

# Of options given twice the last counts.
os.environ["XLA_FLAGS"] = f"{cli.IN_TURN} {QUICKLY} {os.environ.get('XLA_FLAGS', '')}"

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]

# The same examples in every run, and no failure because a machine is slow.
hypothesis.settings.register_profile("hanok", deadline=None, derandomize=True)
hypothesis.settings.load_profile("hanok")


@pytest.fixture(scope="session", autouse=True)
def cache_directory(tmp_path_factory):
    """Keeps the user's cache out of the tests, which share one: what one compiles serves all."""
    from research.program import enable_compilation_cache

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    os.environ["HANOK_CACHE_DIR"] = str(folder / "cache")
    enable_compilation_cache()


@pytest.fixture(scope="session")
def tfds_directory():
    """Returns $TFDS_DATA_DIR, else the folder shared/tfds beside the checkout."""
    beside = CHECKOUT.parent / "shared" / "tfds"
    directory = pathlib.Path(os.environ.get("TFDS_DATA_DIR") or beside).expanduser()
    if not directory.is_dir():
        pytest.skip(f"real data sets: no folder {directory}; set TFDS_DATA_DIR to where they are")
    return directory


@pytest.fixture(scope="session")
def fashion_mnist_files(tfds_directory):
    """The folder with the four files that the publisher of Fashion-MNIST gives."""
    downloads = tfds_directory / "downloads"
    if len(list(downloads.glob("fashion-mnist_*.gz"))) != 4:
        pytest.skip(f"the original files of Fashion-MNIST are not in {downloads}")
    return downloads
