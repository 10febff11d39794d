"""Losses and gradients that are not finite: skipped up to a number, or the end of the run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import DivergedError
from research.experiment import Logging
from research.models.mlp import Mlp
from research.optimizers.adam import Adam
from research.optimizers.schedules import WarmupCosine
from research.state import is_finite
from tests import tiny
from tests.runs import experiment, run

BATCHES = [tiny.batch(12, seed) for seed in range(8)]


def steps(apply_if_finite, **options):
    return tiny.steps(
        tiny.experiment(
            logging=Logging(every_steps=1),
            model=Mlp(widths=(8,), batch_norm=True),
            optimizer=Adam(apply_if_finite=apply_if_finite, ema_decay=0.5, **options),
        )
    )


def follow(functions, bad, state=None):
    """Makes a step on each batch, those in `bad` with infinite images: [(state, metrics)]."""
    state = functions.init() if state is None else state
    sound = state.normalization
    broken = sound.replace(std=jnp.zeros(1))
    found = []
    for index, batch in enumerate(BATCHES):
        state = state.replace(normalization=broken if index in bad else sound)
        state, metrics = functions.train_step(state, batch)
        found.append((state.replace(normalization=sound), jax.device_get(metrics)))
    return found


def trained(state):
    return state.params, state.batch_stats, state.opt_state, state.average


def assert_equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.fixture(scope="module")
def skipping():
    return steps(apply_if_finite=2)


def test_a_skipped_step_changes_nothing_but_the_step(skipping):
    found = follow(skipping, bad={3})
    (before, _), (after, metrics) = found[2:4]
    assert_equal(trained(before), trained(after))
    assert int(after.step) == 4
    assert (metrics["skipped_steps"], metrics["first_nonfinite_step"]) == (1, 0)
    # The next one goes on from there, and its sums are sound.
    (last, metrics) = found[4]
    assert np.isfinite(metrics["loss"]) and np.isfinite(metrics["gradient_norm"])
    assert not np.array_equal(last.params["logits"]["kernel"], after.params["logits"]["kernel"])


def test_skipped_steps_in_a_row_are_counted_anew_after_a_finite_one(skipping):
    *_, (state, metrics) = follow(skipping, bad={0, 1, 3, 4, 6, 7})
    assert metrics["first_nonfinite_step"] == 0
    assert metrics["skipped_steps"] == 6 and int(state.skips.in_a_row) == 2


def test_one_more_in_a_row_is_named_and_still_changes_nothing(skipping):
    found = follow(skipping, bad={2, 3, 4})
    assert [metrics["first_nonfinite_step"] for _, metrics in found[:6]] == [0, 0, 0, 0, 5, 5]
    assert_equal(trained(found[1][0]), trained(found[4][0]))
    assert is_finite(found[4][0]).all()


def test_where_all_steps_are_finite_skipping_changes_nothing(skipping):
    *_, (one, ours) = follow(skipping, bad={})
    *_, (other, theirs) = follow(steps(apply_if_finite=0), bad={})
    # Another program: equal but for the rounding.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), trained(one), trained(other)
    )
    assert ours.pop("skipped_steps") == 0 and ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert value == pytest.approx(theirs[name], rel=1e-4)


@pytest.mark.parametrize("accumulate_steps", [1, 2])
def test_schedule_accumulation_and_average_do_not_count_skipped_steps(accumulate_steps):
    options = {
        "accumulate_steps": accumulate_steps,
        "schedule": WarmupCosine(warmup_fraction=0.5),
    }
    functions = steps(apply_if_finite=3, **options)
    rates = [metrics["learning_rate"] for _, metrics in follow(functions, bad={1, 4})]
    plain = [metrics["learning_rate"] for _, metrics in follow(functions, bad={})]
    expected = [plain[0], plain[1], plain[1], plain[2], plain[3], plain[3], plain[4], plain[5]]
    assert rates == expected
    # The same batches without the bad ones, one after another.
    state = functions.init()
    for index in (0, 2, 3, 5, 6, 7):
        state, _ = functions.train_step(state, BATCHES[index])
    *_, (skipped, _) = follow(functions, bad={1, 4})
    assert_equal(trained(state), trained(skipped))


def test_each_array_that_no_run_can_go_on_from_is_found():
    state = tiny.pure_steps(tiny.experiment(optimizer=Adam(ema_decay=0.5))).init()
    assert is_finite(state).all()
    leaves, tree = jax.tree.flatten(state)
    floating = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    for index in floating:
        spoilt = np.array(leaves[index])
        spoilt.flat[-1] = np.nan
        found = is_finite(tree.unflatten([*leaves[:index], spoilt, *leaves[index + 1 :]]))
        assert np.flatnonzero(~np.asarray(found)).tolist() == [index]


def test_a_state_that_is_not_finite_is_not_saved_though_the_loss_still_is(tmp_path):
    chosen = experiment(
        "--config.steps=9",
        "--config.model.widths=(8,)",
        "--config.logging.tensorboard=false",
        "--config.checkpoint.every_steps=1",
        # The first update is 0; the second multiplies the weights by −10⁴⁰.
        "--config.optimizer.name=sgd",
        "--config.optimizer.learning_rate=1e20",
        "--config.optimizer.l2=1e20",
        "--config.optimizer.schedule.name=warmup_cosine",
        "--config.optimizer.schedule.warmup_fraction=0.2",
    )
    with pytest.raises(DivergedError) as error:
        run(chosen, tmp_path)
    said = str(error.value)
    assert "step 2 left numbers that are not finite in params/dense_0/kernel" in said
    assert f"The checkpoint of step 1 in {tmp_path}/checkpoints is kept" in said
    assert f"python -m launch.replay --workdir={tmp_path} --step=2" in said
    assert [folder.name for folder in (tmp_path / "checkpoints").iterdir()] == ["1"]
