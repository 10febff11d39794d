"""Benchmarks: contenders take turns in processes of their own, and do the same work."""

import functools

import numpy as np
import pytest

from benchmarks.harness import Measured, Options, figures, rates, seconds_until
from benchmarks.rows import decoding
from benchmarks.table import Table, draw
from benchmarks.torch_model import Layers
from benchmarks.work import WORKS
from launch.flags import DEFAULT_CONFIG, make_experiment
from research.data.tfds_images import TfdsImages
from research.errors import UserError

OPTIONS = Options(turns=2, seconds=0.2, works=tuple(WORKS))


def writes_its_name(path, name):
    """A contender whose figure is how many turns were taken before, by anyone."""

    def turn():
        with open(path, "a") as file:
            file.write(name)
        return float(len(path.read_text()))

    return turn


def lacks_a_package():
    import no_such_package  # noqa: F401


def finds_no_data():
    raise UserError("there is no such data\nPrepare it")


def slow_to_begin():
    return lambda count: 0.5 + 0.001 * count


def test_contenders_take_turns_and_who_cannot_take_part_is_said(tmp_path):
    path = tmp_path / "turns"
    found = figures(
        {
            "a": functools.partial(writes_its_name, path, "a"),
            "without": lacks_a_package,
            "b": functools.partial(writes_its_name, path, "b"),
            "lost": finds_no_data,
        },
        OPTIONS,
    )
    assert path.read_text() == "abab"
    assert found["a"].figures == [1, 3] and found["b"].figures == [2, 4]
    assert found["a"].peak_bytes > 1e6
    assert found["without"].absent and "no_such_package" in found["without"].failed
    assert found["lost"].failed == "there is no such data" and not found["lost"].absent


def test_rates_leave_out_what_happens_once():
    found = rates({"a": slow_to_begin}, OPTIONS)["a"]
    assert found.median == pytest.approx(1000, rel=0.5)


def test_a_program_is_timed_up_to_the_line_that_is_waited_for():
    program = "import time; print('a'); time.sleep(0.2); print('b 1'); time.sleep(600)"
    seconds = seconds_until(lambda line: line.startswith("b"), ["-c", program])
    assert 0.2 < seconds < 60
    with pytest.raises(RuntimeError, match="ended: a"):
        seconds_until(lambda line: False, ["-c", "print('a')"])


@pytest.mark.parametrize("less_is_better, expected", [(False, "0.50"), (True, "2.00")])
def test_a_ratio_says_how_many_times_as_fast(less_is_better, expected, tmp_path):
    found = {
        "hanok": Measured([1.0, 2.0, 9.0]),
        "torch": Measured([4.0]),
        "keras": Measured([], failed="No module named 'keras'", absent=True),
    }
    table = Table("A work", "units", found, beside="torch", less_is_better=less_is_better)
    assert f"| hanok | 2 | 1 to 9 | {expected} |" in table.text()
    assert "| keras | not there: No module named 'keras' |" in table.text()
    assert table.record()["contenders"]["hanok"]["median"] == 2
    draw([table], tmp_path / "speed.png")
    assert (tmp_path / "speed.png").stat().st_size > 1000


@pytest.mark.parametrize("name", ["tiny", "mlp", "cnn"])
def test_pytorch_trains_as_many_parameters(name):
    pytest.importorskip("torch")
    parameters_agree(WORKS[name].experiment())


@pytest.mark.parametrize("config", ["digits_mlp", "fashion_mnist_cnn"])
def test_pytorch_starts_with_the_model_of_the_config(config):
    pytest.importorskip("torch")
    parameters_agree(make_experiment(DEFAULT_CONFIG.parent / f"{config}.py", []))


def parameters_agree(experiment):
    import jax

    from research.models.network import network

    shape = (8, 8, 1) if experiment.data.name == "digits" else (28, 28, 1)
    net = network(experiment.model, 10)
    params = jax.eval_shape(net.init, jax.random.key(0), np.zeros((1, *shape), np.float32))
    ours = sum(leaf.size for leaf in jax.tree.leaves(params["params"]))
    theirs = Layers.of(experiment).module(shape, 10).parameters()
    assert sum(parameter.numel() for parameter in theirs) == ours


def test_the_decoders_that_are_compared_give_the_same_images(tfds_directory, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tfds_directory))
    pixels, labels = decoding._Records()[range(300)]
    ours = TfdsImages(name="cifar10").open().splits["train"]()
    np.testing.assert_array_equal(ours.inputs[:300], pixels)
    np.testing.assert_array_equal(ours.labels[:300], labels)
