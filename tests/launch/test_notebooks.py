"""The notebooks run from top to bottom, and commands work in a notebook as in a shell."""

import os
import pathlib
import re
import shutil
import subprocess

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import launch
from tests.data.sources import encoded
from tests.data.tfds_sets import prepare_encoded, read_idx

CHECKOUT = pathlib.Path(launch.__file__).resolve().parents[1]
NOTEBOOKS = sorted((CHECKOUT / "launch" / "colab").glob("*.ipynb"))
PACKAGES = ("research", "launch", "configs")
VERSION = "3.0.1"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the checkout, so that nothing is written into the real one."""
    root = tmp_path_factory.mktemp("checkout")
    for package in PACKAGES:
        shutil.copytree(CHECKOUT / package, root / package)
    shutil.copy(CHECKOUT / "setup.cfg", root)
    return root


@pytest.fixture(scope="module")
def data_directory(tmp_path_factory, request):
    """A TFDS directory with 7,000 real images of Fashion-MNIST; "" where there are none."""
    try:
        files = request.getfixturevalue("fashion_mnist_files")
    except pytest.skip.Exception:
        return ""
    import tensorflow_datasets as tfds

    directory = tmp_path_factory.mktemp("tfds")
    classes = tfds.builder("fashion_mnist").info.features["label"].names
    splits = {}
    for split, part, count in (("train", "train", 6000), ("test", "t10k", 1000)):
        images, labels = read_idx(files, part)
        pairs = zip(images[:count], labels[:count], strict=True)
        splits[split] = [(encoded(image), int(label)) for image, label in pairs]
    prepare_encoded(directory, "fashion_mnist", VERSION, classes, splits, (28, 28, 1))
    return str(directory)


def execute(notebook, root, folder=".", **environ):
    """Runs a notebook in a kernel of its own, started in `folder` of the checkout."""
    # The kernel's own settings and history stay out of the user's.
    environ = {"PYTHONPATH": str(root), "IPYTHONDIR": str(root / ".ipython"), **environ}
    where = {"metadata": {"path": str(root / folder)}}
    client = NotebookClient(notebook, timeout=600, resources=where)
    client.execute(env={**os.environ, **environ})
    return notebook


def cells(*sources):
    """Returns a notebook with these cells of code."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])


def printed(cell, stream="stdout"):
    """Returns what a cell printed."""
    streams = (output for output in cell.outputs if output.output_type == "stream")
    return "".join(output.text for output in streams if output.name == stream)


def value(cell):
    """Returns the value of a cell's last expression, as text."""
    results = [output for output in cell.outputs if output.output_type == "execute_result"]
    return results[-1].data["text/plain"] if results else None


def images(cell):
    """Returns how many images a cell shows."""
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs_and_in_one_form(path):
    text = path.read_text()
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (not cell.outputs and cell.execution_count is None)
        # Names, so that a change of one cell is a change of its lines alone.
        assert re.fullmatch(r"[a-z][a-z-]+", cell.id)
    assert text == nbformat.writes(notebook) + "\n"


def test_the_quickstart_runs_from_top_to_bottom(checkout, data_directory):
    notebook = nbformat.read(checkout / "launch/colab/quickstart.ipynb", as_version=4)
    if not data_directory:  # neither the data nor a network to fetch them
        is_fashion = [cell.metadata.get("tags") == ["fashion_mnist"] for cell in notebook.cells]
        assert sum(is_fashion) == 4
        notebook.cells = [
            c for c, tagged in zip(notebook.cells, is_fashion, strict=True) if not tagged
        ]
    execute(notebook, checkout, "launch/colab", TFDS_DATA_DIR=data_directory)
    cell = {cell.id: cell for cell in notebook.cells}

    def test_accuracy(name):
        return float(re.search(r"test accuracy (\S+),", printed(cell[name]))[1])

    assert "JAX uses cpu" in printed(cell["doctor"])
    assert value(cell["digits"]) == "0" and test_accuracy("digits") >= 0.97
    assert images(cell["digits-curves"]) == images(cell["confusion"]) == 1
    assert value(cell["stop"]) == "75"
    stopped_after = re.search(r"stopped by SIGINT after step (\d+); saved", printed(cell["stop"]))[
        1
    ]
    assert value(cell["resume"]) == "0"
    assert f"resuming after step {stopped_after} " in printed(cell["resume"])
    if data_directory:
        assert value(cell["fashion-prepare"]) == value(cell["fashion"]) == "0"
        assert "6,000 train, 1,000 test examples" in printed(cell["fashion-prepare"])
        assert test_accuracy("fashion") >= 0.8
        assert images(cell["fashion-curves"]) == images(cell["fashion-confusion"]) == 1
    assert "".join(printed(c, "stderr") for c in notebook.cells if c.cell_type == "code") == ""


def test_the_plan_runs_from_top_to_bottom(checkout):
    pytest.importorskip("libtpu")
    notebook = nbformat.read(checkout / "launch/colab/plan_a_slice.ipynb", as_version=4)
    cell = {cell.id: cell for cell in notebook.cells}
    # As a reader would: another experiment, whose data is here, and smaller slices.
    cell["parameters"].source += "\nCONFIG, DATA = 'configs/digits_mlp.py', ''"
    cell["parameters"].source += "\nSLICES = 'v5e:2x4,v5e:4x4'"
    execute(notebook, checkout, "launch/colab")
    assert re.search(r"verdict +c +fits +fits", printed(cell["plan"]))
    assert images(cell["scaling"]) == 1
    (page,) = cell["report"].outputs
    assert "srcdoc=" in page.data["text/html"] and "v5e:4x4" in page.data["text/html"]


@pytest.fixture(scope="module")
def repository(checkout):
    """The address of a git repository that holds the checkout."""
    git = ["git", "-C", str(checkout), "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in ("init --quiet", f"add setup.cfg {' '.join(PACKAGES)}", "commit -qm all"):
        subprocess.run([*git, *command.split()], check=True)
    return f"file://{checkout}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_that_lies_alone_clones_a_checkout_once(path, repository, tmp_path):
    source = {cell.id: cell.source for cell in nbformat.read(path, as_version=4).cells}
    if "libtpu" in source["setup"]:
        pytest.importorskip("libtpu")
    ours = f'REPOSITORY = "{repository}"'
    parameters, count = re.subn('REPOSITORY = "[^"]+"', ours, source["parameters"])
    assert count == 1
    for _ in range(2):
        where = "import research\nprint(os.getcwd(), research.__file__)"
        started = execute(cells(parameters, source["setup"], where), tmp_path, PYTHONPATH="")
        clone = tmp_path / "hanok"
        assert printed(started.cells[-1]) == f"{clone} {clone}/research/__init__.py\n"


def test_in_a_notebook_an_error_is_one_message_and_help_is_no_error(checkout):
    notebook = cells(
        "from launch import train",
        "train.main(['--config.seed=abc'])",
        "train.main(['--help'])",
        "train.main(['--dry_run'])",
    )
    notebook.cells[1].metadata["tags"] = notebook.cells[2].metadata["tags"] = ["raises-exception"]
    execute(notebook, checkout)
    _, wrong, help_shown, dry_run = notebook.cells
    assert wrong.outputs[-1].traceback == ["error: --config.seed: takes a whole number, not 'abc'"]
    assert "Fields of the experiment" in printed(help_shown)
    assert help_shown.outputs[-1].traceback == []
    assert value(dry_run) == "0"


def test_a_second_press_of_the_stop_button_interrupts_the_cell_and_not_the_kernel(checkout):
    notebook = cells(
        "import signal\nfrom launch import cli",
        "with cli.StopRequest() as stop:\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    print(stop())\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    print('not reached')\n",
        "1 + 1",
    )
    notebook.cells[1].metadata["tags"] = ["raises-exception"]
    execute(notebook, checkout)
    _, twice, after = notebook.cells
    assert printed(twice) == "SIGINT\n" and twice.outputs[-1].ename == "KeyboardInterrupt"
    assert value(after) == "2"


def test_an_unexpected_error_still_fails_the_notebook(checkout):
    with pytest.raises(CellExecutionError):
        execute(cells("from launch import train\ntrain.main(['--workdri=x'])"), checkout)
