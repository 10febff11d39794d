"""A run that begins with another run's arrays: what is taken, refused and said."""

import dataclasses
import io
import shutil

import jax
import numpy as np
import pytest

from research.checkpoint_files import read_arrays
from research.checkpoints import Checkpoints
from research.data.splits import open_dataset
from research.errors import UserError
from research.experiment import timetable
from research.models.mlp import Mlp
from research.optimizers.adam import Adam
from research.optimizers.schedule_free import ScheduleFreeAdam
from research.program import make_program
from research.sharding import path_name
from research.transfer import Transfer
from research.warm_start import begin_with, choose
from tests import tiny
from tests.runs import experiment, run

SOURCE = {"model": Mlp(widths=(8,), batch_norm=True), "optimizer": Adam()}


def made(**fields):
    """The experiment of the source, but for these fields."""
    return tiny.experiment(**{**SOURCE, **fields})


def initial(chosen):
    return tiny.pure_steps(chosen).init()


def arrays(state):
    return {
        path_name(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A checkpoint whose arrays are all 3."""
    path = tmp_path_factory.mktemp("source") / "checkpoints"
    checkpoints = Checkpoints(path)
    checkpoints.save(3, jax.tree.map(lambda leaf: 0 * leaf + 3, initial(made())))
    checkpoints.close()
    return path / "3"


def choice_of(source, chosen, **transfer):
    """Returns (the state of an experiment, what it takes from a source)."""
    chosen = dataclasses.replace(chosen, init_from=str(source), transfer=Transfer(**transfer))
    state = initial(chosen)
    return state, choose(state, chosen, tiny.IMAGE_SHAPE)


def begin(source, chosen, **transfer):
    """Returns (paths whose arrays were taken, what was said)."""
    state, choice = choice_of(source, chosen, **transfer)
    before, after = arrays(state), arrays(begin_with(choice, state))
    taken = {path for path in before if (after[path] == 3).all()}
    for path in before.keys() - taken:
        np.testing.assert_array_equal(before[path], after[path])
    return taken, str(choice)


def test_parameters_and_statistics_are_taken_and_named(source):
    taken, said = begin(source, made())
    assert taken == {
        "params/dense_0/kernel", "params/dense_0_norm/bias", "params/dense_0_norm/scale",
        "params/logits/bias", "params/logits/kernel",
        "batch_stats/dense_0_norm/mean", "batch_stats/dense_0_norm/var",
    }  # fmt: skip
    assert said == f"restored from {source}:\n  " + "\n  ".join(sorted(taken))


def test_only_what_is_chosen_is_taken(source):
    taken, _ = begin(source, made(), only="params/logits/|opt_state/.*/mu/logits/kernel")
    assert taken == {
        "params/logits/bias", "params/logits/kernel", "opt_state/0/mu/logits/kernel",
    }  # fmt: skip


def test_arrays_of_other_shapes_are_refused_with_their_paths(source):
    with pytest.raises(UserError) as error:
        begin(source, made(model=Mlp(widths=(4,), batch_norm=True)))
    said = str(error.value)
    assert "\n  params/dense_0/kernel: float32[16,8] in the file, float32[16,4] in memory\n" in said
    assert "--restore_only" in said and "--allow_missing" in said


def test_what_may_be_missing_is_named_and_keeps_its_initial_values(source):
    taken, said = begin(
        source,
        made(model=Mlp(widths=(8, 4), batch_norm=True)),
        allow_missing="(params|batch_stats)/dense_1|params/logits/kernel",
    )
    assert "params/logits/bias" in taken and "params/logits/kernel" not in taken
    kept = said.split("\nnot restored, as --allow_missing says:\n")[1]
    assert "  params/logits/kernel: float32[8,3] in the file, float32[4,3] in memory" in kept
    assert "  params/dense_1/kernel: absent in the file, float32[8,4] in memory" in kept


def test_what_the_checkpoint_has_beyond_the_run_is_not_dropped_in_silence(source):
    with pytest.raises(UserError, match=r"params/dense_0_norm/bias: .*, absent in memory"):
        begin(source, made(model=Mlp(widths=(8,))))


def test_an_average_begins_at_the_parameters_that_were_taken(source):
    averaging = made(optimizer=Adam(ema_decay=0.5))
    taken, _ = begin(source, averaging)
    assert {
        path.replace("params", "average") for path in taken if path.startswith("params/")
    } < taken
    state, choice = choice_of(source, averaging)
    begun = begin_with(choice, state)
    # A donated buffer may be handed over only once.
    assert begun.average["logits"]["bias"] is not begun.params["logits"]["bias"]


@pytest.mark.parametrize(
    ("optimizer", "field"), [(Adam(lookahead_steps=2), "slow"), (ScheduleFreeAdam(), "z")]
)
def test_weights_that_an_optimizer_keeps_begin_at_those_taken(source, optimizer, field):
    keeping = made(optimizer=dataclasses.replace(optimizer, freeze=("dense_0/",)))
    taken, _ = begin(source, keeping)
    kept = {path.split(f"/{field}/")[1] for path in taken if f"/{field}/" in path}
    assert kept == {"dense_0_norm/bias", "dense_0_norm/scale", "logits/bias", "logits/kernel"}


def test_nothing_to_take_is_an_error(source):
    with pytest.raises(UserError, match="no path that begins with 'parms/' is in both. Paths are"):
        begin(source, made(), only="parms/")


def test_a_damaged_source_is_refused(source, tmp_path):
    copy = tmp_path / "checkpoints" / "3"
    shutil.copytree(source, copy)
    file = next((copy / "default" / "d").iterdir())
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(UserError, match=r"checkpoints/3 is damaged: default/d/\w+ was altered"):
        begin(copy, made())


def test_a_work_directory_stands_for_its_newest_undamaged_checkpoint(source, tmp_path):
    for step in ("3", "4"):
        shutil.copytree(source, tmp_path / "checkpoints" / step)
    (tmp_path / "checkpoints" / "4" / "manifest.json").unlink()
    taken, said = begin(tmp_path, made())
    assert f"restored from {tmp_path}/checkpoints/3:" in said and len(taken) == 7


def test_what_is_neither_is_answered_with_the_checkpoints_that_are_near(source):
    with pytest.raises(UserError, match=rf"is no checkpoint. There are {source}"):
        begin(source.parent, made())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--restore_only=params/dense", "config.init_from: give the run whose arrays"),
        ("--allow_missing=params/(", "config.transfer.allow_missing: is no regular expression"),
        ("--config.transfer.until=logits", "config.init_from: give the run whose arrays"),
        ("--config.transfer.only=", "config.transfer.only: would take nothing"),
    ],
)
def test_what_can_mean_nothing_is_refused_at_once(given, message):
    with pytest.raises(UserError, match=message):
        experiment(given)


def test_a_run_begins_with_it_and_needs_it_no_more_once_it_has_saved(tmp_path):
    chosen = experiment(
        "--config.steps=3", "--config.model.widths=(8,)", "--config.logging.tensorboard=false",
        # The first step changes no parameter: what is saved is what the run began with.
        "--config.optimizer.schedule.warmup_fraction=0.5",
    )  # fmt: skip
    source = tmp_path / "source" / "checkpoints" / "3"
    dataset = open_dataset(chosen.data)
    program = make_program(chosen, timetable(chosen, len(dataset.train)), dataset)
    saved = Checkpoints(source.parent)
    saved.save(3, jax.tree.map(lambda leaf: leaf + 1, program.init()))
    saved.close()

    def warm(**options):
        return dataclasses.replace(chosen, init_from=str(source), transfer=Transfer(**options))

    with pytest.raises(UserError, match="has nothing for this run"):
        run(warm(only="x"), tmp_path)
    # The mended command is free to take the directory that the wrong one did not claim.
    output = io.StringIO()
    run(warm(), tmp_path, stop_after=1, output=output)
    assert "restored from" in output.getvalue()
    found, expected = read_arrays(tmp_path / "checkpoints" / "1"), read_arrays(source)
    np.testing.assert_array_equal(found["params/logits/kernel"], expected["params/logits/kernel"])
    assert found["step"] == found["opt_state/0/count"] == 1
    shutil.rmtree(tmp_path / "source")
    assert run(warm(), tmp_path).step == 3
