"""The rules of the house: who may import whom, what is cheap, how long a file may be."""

import ast
import json
import pathlib
import subprocess
import sys

import pytest

import research

REPOSITORY = pathlib.Path(research.__file__).parents[1]
PACKAGES = ("research", "configs", "launch", "tests")
HEAVY = ("jax", "flax", "optax", "orbax", "tensorflow", "tensorflow_datasets")
LONGEST = 350
UNPICKLERS = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
EXECUTORS = {
    "eval", "exec", "compile", "__import__", "yaml.load", "yaml.full_load", "yaml.unsafe_load",
}  # fmt: skip
OWN_CHILD = "research.planning.apart"
"""Pickles what it says to a process that it started itself, through a pipe."""


def files(*packages):
    return [path for package in packages for path in sorted((REPOSITORY / package).rglob("*.py"))]


def module_name(path):
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path, modules):
    """Names of the modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            # `from package import module` needs the module, not what the package holds.
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & modules or {node.module}
    return found


@pytest.fixture(scope="module")
def graph():
    """Module of research -> the modules that it imports, lazily or not."""
    paths = {module_name(path): path for path in files("research")}
    return {name: imports(path, set(paths)) for name, path in paths.items()}


def test_research_never_imports_what_stands_on_it(graph):
    upwards = {
        (name, imported)
        for name, imported_names in graph.items()
        for imported in imported_names
        if imported.split(".")[0] in ("launch", "configs", "tests")
    }
    assert upwards == set()


def test_imports_within_research_run_in_no_circle(graph):
    remaining = {name: imported & set(graph) for name, imported in graph.items()}
    while free := [name for name, imported in remaining.items() if not imported & set(remaining)]:
        for name in free:
            del remaining[name]
    assert remaining == {}


@pytest.mark.parametrize(
    "config", [module_name(path) for path in files("configs") if path.stem != "__init__"]
)
def test_reading_a_config_imports_nothing_heavy(config):
    program = (
        "import importlib, json, sys\n"
        f"config = importlib.import_module('{config}').get_config()\n"
        "from research.records import check\n"
        "check(config)\n"
        f"print(json.dumps(sorted(set({HEAVY!r}) & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


def test_flags_are_parsed_without_anything_heavy():
    program = (
        "import json, sys\n"
        "from launch.flags import parse_experiment\n"
        "parse_experiment(['--config.model.name=cnn'], lambda values: None, '')\n"
        f"print(json.dumps(sorted(set({HEAVY!r}) & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("path", files("research"), ids=module_name)
def test_annotations_are_evaluated_at_import(path):
    # Flags and JSON are typed by them.
    tree = ast.parse(path.read_text())
    assert "__future__" not in {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}


@pytest.mark.parametrize("path", files(*PACKAGES), ids=module_name)
def test_file_can_be_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("path", files("research", "launch"), ids=module_name)
def test_nothing_that_is_read_is_unpickled_or_executed(path):
    used = {name.split(".")[0] for name in imports(path, set())} & UNPICKLERS
    assert used == ({"pickle"} if module_name(path) == OWN_CHILD else set())
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called, line = ast.unparse(node.func), f"line {node.lineno}"
        assert called not in EXECUTORS, line
        # A config is the only thing that is executed, and only from --config.
        assert not called.endswith("exec_module") or path.name == "flags.py", line
        if called in ("np.load", "np.save"):
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert given.get("allow_pickle") == "False", line
