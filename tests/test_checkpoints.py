"""Which checkpoints stay, and what is said about those that can't be used."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import multihost_utils

from research.checkpoints import Checkpoints
from research.errors import UserError
from research.experiment import Mesh
from research.mesh import make_mesh
from research.sharding import state_shardings, with_shardings


def state(step):
    return {"step": jnp.asarray(step, jnp.int32), "params": {"w": jnp.full((3, 2), float(step))}}


def shapes():
    tree = jax.eval_shape(lambda: state(0))
    return with_shardings(tree, state_shardings(make_mesh(Mesh()), tree))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


def save_all(folder, scores, keep):
    checkpoints = Checkpoints(folder, keep=keep)
    for step, score in scores.items():
        checkpoints.save(step, state(step), score)
    checkpoints.close()
    return Checkpoints(folder, read_only=True)


def test_what_was_saved_is_restored(folder):
    checkpoints = save_all(folder, {3: None}, keep=1)
    jax.tree.map(np.testing.assert_array_equal, checkpoints.restore(3, shapes()), state(3))


def test_the_newest_and_the_best_stay(folder):
    scores = {1: (0.5, -1.0), 2: (0.7, -1.0), 3: None, 4: None, 5: None}
    checkpoints = save_all(folder, scores, keep=2)
    assert checkpoints.steps() == [2, 4, 5]
    assert checkpoints.latest_step() == 5
    assert checkpoints.best() == (2, (0.7, -1.0))


def test_without_scores_there_is_no_best(folder):
    assert save_all(folder, {1: None}, keep=1).best() is None


def test_the_state_may_be_donated_while_it_is_being_written(folder):
    checkpoints = Checkpoints(folder)
    donated = state(1)
    checkpoints.save(1, donated)
    jax.block_until_ready(
        jax.jit(lambda s: jax.tree.map(lambda x: x + 1, s), donate_argnums=0)(donated)
    )
    checkpoints.close()
    restored = Checkpoints(folder, read_only=True).restore(1, shapes())
    jax.tree.map(np.testing.assert_array_equal, restored, state(1))


def test_saving_leaves_it_to_the_loop_to_ask_whether_to_stop(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(multihost_utils, "reached_preemption_sync_point", asked.append)
    assert save_all(folder, {80: None}, keep=1).steps() == [80]
    assert asked == []


def test_an_older_step_than_the_newest_is_refused(folder):
    checkpoints = Checkpoints(folder, keep=2)
    checkpoints.save(5, state(5))
    checkpoints.wait()
    with pytest.raises(UserError, match="step 4 was refused: .* holds step 5. Is another run"):
        checkpoints.save(4, state(4))
    checkpoints.close()


def test_a_damaged_checkpoint_is_named_with_what_to_do(folder):
    checkpoints = save_all(folder, {1: None, 2: None}, keep=2)
    shutil.rmtree(folder / "2" / "default" / "d", ignore_errors=True)
    for file in (folder / "2" / "default").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    with pytest.raises(
        UserError, match="checkpoints/2 is damaged: .* is missing; .* 0 bytes instead of"
    ):
        checkpoints.restore(2, shapes())
    jax.tree.map(np.testing.assert_array_equal, checkpoints.restore(1, shapes()), state(1))


def like(leaf, shape=None, dtype=None):
    return jax.ShapeDtypeStruct(shape or leaf.shape, dtype or leaf.dtype, sharding=leaf.sharding)


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (
            lambda tree: {**tree, "params": {"w": like(tree["params"]["w"], shape=(3, 4))}},
            ["params/w: float32[3,2] in the file, float32[3,4] in memory"],
        ),
        (
            lambda tree: {**tree, "params": {"w": like(tree["params"]["w"], dtype=jnp.bfloat16)}},
            ["params/w: float32[3,2] in the file, bfloat16[3,2] in memory"],
        ),
        (
            lambda tree: {**tree, "params": {"v": tree["params"]["w"]}},
            [
                "params/v: absent in the file, float32[3,2] in memory",
                "params/w: float32[3,2] in the file, absent in memory",
            ],
        ),
        (
            lambda tree: {**tree, "opt_state": (tree["step"],)},
            ["opt_state/0: absent in the file, int32[] in memory"],
        ),
    ],
    ids=["another shape", "another dtype", "a renamed layer", "another optimizer"],
)
def test_another_state_is_refused_with_the_leaves_that_differ(folder, change, lines):
    checkpoints = save_all(folder, {1: None}, keep=1)
    with pytest.raises(UserError) as error:
        checkpoints.restore(1, change(shapes()))
    listed = str(error.value).split("\n")[1:-1]
    assert listed == [f"  {line}" for line in lines]
