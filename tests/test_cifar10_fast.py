"""configs/cifar10_fast.py: reduced, it trains as it says; whole, it compiles.

What its accuracy and its time are needs a GPU, and is not tested.
"""

import functools

import jax
import numpy as np
import pytest

from configs.cifar10_fast import get_config
from research.checkpoint_files import read_arrays
from research.data.splits import open_dataset
from research.data.summary import Summary, stand_in
from research.experiment import timetable
from research.population.program import make_population_program
from research.population.run import PopulationRun
from research.program import make_program, train_steps
from research.restoring import evaluate_checkpoint
from tests.runs import experiment, run

STEPS = 7
REDUCED = [
    "--config=configs/cifar10_fast.py",
    "--config.data.name=digits",
    "--config.model.widths=(8,)",
    "--config.global_batch_size=64",
    f"--config.steps={STEPS}",
    "--config.checkpoint.every_steps=1",
    "--config.checkpoint.keep=10",
    "--config.logging.tensorboard=false",
]
STEM = "params/stem/kernel"


def saved(path, step=STEPS):
    return read_arrays(path / "checkpoints" / str(step))


@functools.cache
def whitening():
    """The whitening kernel of the digits."""
    chosen = experiment(*REDUCED)
    return chosen.model.from_data(open_dataset(chosen.data))["stem/kernel"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The work directory of a run on the digits, and its summary."""
    path = tmp_path_factory.mktemp("finished")
    return path, run(experiment(*REDUCED), path).summary


def test_whitening_kernel_stays_as_it_is_to_the_last_bit_and_the_rest_learns(finished):
    first, last = (saved(finished[0], step) for step in (1, STEPS))
    for arrays in (first, last):
        np.testing.assert_array_equal(arrays[STEM], whitening())
    for path in first:
        if path.startswith("params/") and path != STEM:
            assert (first[path] != last[path]).any(), path
    assert last["params/stem/bias"].any()


def test_slow_weights_begin_with_the_whitening_kernel(finished):
    np.testing.assert_array_equal(
        saved(finished[0])[STEM.replace("params", "average")], whitening()
    )


def test_a_run_that_was_stopped_goes_on_bit_for_bit(finished, tmp_path):
    chosen = experiment(*REDUCED)
    assert run(chosen, tmp_path, stop_after=3).step == 3
    run(chosen, tmp_path)
    resumed = saved(tmp_path)
    for path, values in saved(finished[0]).items():
        np.testing.assert_array_equal(resumed[path], values, err_msg=path)


def test_it_is_evaluated_over_flipped_and_shifted_views(finished):
    path, summary = finished
    found = evaluate_checkpoint(str(path)).results["test"]
    assert found.loss == pytest.approx(summary["test"]["loss"], rel=1e-5)
    as_it_is = evaluate_checkpoint(str(path), evaluation_changes={"tta": "none"}).results["test"]
    assert as_it_is.loss != pytest.approx(found.loss, rel=1e-5)


def test_all_replicas_of_a_population_keep_the_whitening_kernel_and_draw_the_rest():
    chosen = experiment(*REDUCED, "--config.population.seeds=2")
    data = open_dataset(chosen.data)
    plan = timetable(chosen, len(data.train))
    program = make_population_program(chosen, plan, data)
    feed = PopulationRun.open_feed(chosen, plan, data.train, program.mesh)
    state, _ = train_steps(program, feed)(program.init(), feed.take(0, 1))
    for replica in range(2):
        np.testing.assert_array_equal(state.params["stem"]["kernel"][replica], whitening())
    one, other = state.params["logits"]["kernel"]
    assert (one != other).all()


def test_transfer_takes_the_kernel_of_the_other_run(finished, tmp_path):
    chosen = experiment(
        *REDUCED, f"--config.init_from={finished[0]}", "--config.transfer.until=logits",
        "--config.data.classes=('3','8')", "--config.steps=1",
    )  # fmt: skip
    of_its_own = chosen.model.from_data(open_dataset(chosen.data))["stem/kernel"]
    assert np.abs(of_its_own - whitening()).max() > 0.01
    run(chosen, tmp_path)
    np.testing.assert_array_equal(saved(tmp_path, 1)[STEM], whitening())


@pytest.fixture(scope="module")
def whole():
    """The program of the config as it is, for data that isn't there."""
    chosen = get_config()
    data = stand_in(Summary((32, 32, 3), 10, train=49_000, validation=1_000, test=10_000))
    return chosen, make_program(chosen, timetable(chosen, 49_000), data), data


def test_whole_it_compiles_without_its_data(whole):
    chosen, program, _ = whole
    size = chosen.global_batch_size
    batch = {
        "input": jax.ShapeDtypeStruct((size, 32, 32, 3), "uint8", sharding=program.batch_sharding),
        "label": jax.ShapeDtypeStruct((size,), "int32", sharding=program.batch_sharding),
    }
    compiled = program.train_step.lower(program.state_shapes, batch).compile()
    # Those of a forward pass: what stands in loops is counted once.
    assert compiled.cost_analysis()["flops"] > 0.2e9 * size


def test_images_of_zeros_give_a_finite_kernel(whole):
    chosen, _, data = whole
    assert np.isfinite(chosen.model.from_data(data)["stem/kernel"]).all()
