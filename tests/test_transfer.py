"""Transfer: a run that keeps another one's layers up to its head."""

import dataclasses

import numpy as np
import pytest

from research.checkpoint_files import read_arrays
from research.errors import UserError
from research.models.cnn import Cnn
from research.models.network import layer_names
from research.models.resnet import ResNet
from research.transfer import Transfer
from tests import tiny
from tests.runs import experiment, run
from tests.test_warm_start import begin, made, source  # noqa: F401

COMMON = ["--config.logging.tensorboard=false", "--config.model.name=cnn"]
TRUNK = ["--config.model.stages=((3,),(4,))", "--config.model.dropout_rate=0.2"]


@pytest.fixture(scope="module")
def other_run(tmp_path_factory):
    """The work directory of a run on the digits."""
    path = tmp_path_factory.mktemp("other") / "run"
    run(experiment(*COMMON, *TRUNK, "--config.model.widths=(8,)", "--config.steps=8"), path)
    return path


def transferred(other_run, *overrides):
    return experiment(
        *COMMON, *TRUNK, "--config.steps=6", "--config.seed=1", f"--config.init_from={other_run}",
        *overrides,
    )  # fmt: skip


def saved(path, step):
    return read_arrays(path / "checkpoints" / str(step))


def test_layers_stand_in_the_order_in_which_they_are_called():
    model = Cnn(stages=((3, 3), (4,)), widths=(5,), activation="prelu", dropout_rate=0.5)
    assert layer_names(model, 2, (8, 8, 1)) == (
        "conv_0_0", "conv_0_0_norm", "conv_0_0_prelu",
        "conv_0_1", "conv_0_1_norm", "conv_0_1_prelu",
        "conv_1_0", "conv_1_0_norm", "conv_1_0_prelu",
        "dense_0", "dense_0_norm", "dense_0_prelu", "logits",
    )  # fmt: skip
    assert layer_names(ResNet(), 10, (32, 32, 3))[:3] == ("stem", "stem_norm", "block_0_0_conv_0")


def test_what_stands_before_the_layer_is_taken_and_the_head_begins_afresh(source):  # noqa: F811
    taken, said = begin(source, made(), until="logits")
    assert taken == {
        "params/dense_0/kernel", "params/dense_0_norm/bias", "params/dense_0_norm/scale",
        "batch_stats/dense_0_norm/mean", "batch_stats/dense_0_norm/var",
    }  # fmt: skip
    head = "\n  params/logits/bias\n  params/logits/kernel"
    assert f"begun afresh, as config.transfer.until says:{head}" in said
    assert f"left in the checkpoint:{head}" in said


def test_optimizer_memory_of_the_layers_before_can_be_taken_too(source):  # noqa: F811
    taken, _ = begin(source, made(), until="logits", only="opt_state/.*/mu/")
    assert taken == {
        "opt_state/0/mu/dense_0/kernel",
        "opt_state/0/mu/dense_0_norm/bias",
        "opt_state/0/mu/dense_0_norm/scale",
    }


def test_head_for_other_classes_is_trained_and_the_frozen_trunk_stays_bit_for_bit(
    other_run, tmp_path
):
    chosen = transferred(
        other_run,
        "--config.transfer.until=dense_0",
        "--config.data.classes=('3', '5', '8')",
        "--config.model.widths=(6, 5)",
        "--config.optimizer.freeze=('^conv_',)",
        "--config.optimizer.name=adamw",
        "--config.optimizer.ema_decay=0.5",
    )
    run(chosen, tmp_path)
    before, after = saved(other_run, 8), saved(tmp_path, 6)
    assert before["params/logits/bias"].shape == (10,) and after["params/logits/bias"].shape == (3,)
    kept = [path for path in after if path.startswith(("params/conv_", "batch_stats/conv_"))]
    assert len(kept) == 10
    for path in kept:
        assert before[path].tobytes() == after[path].tobytes(), path
        if path.startswith("params/"):
            average = after[path.replace("params/", "average/")]
            assert average.tobytes() == before[path].tobytes(), path
    fresh = dataclasses.replace(chosen, steps=1)
    run(fresh, tmp_path / "one")
    first = saved(tmp_path / "one", 1)
    for path in ("params/dense_0/kernel", "params/dense_1/kernel", "params/logits/kernel"):
        assert (first[path] != after[path]).any(), path
    assert after["batch_stats/dense_0_norm/mean"].any()


def test_differential_learning_rates_move_the_trunk_less_than_the_head(other_run, tmp_path):
    chosen = transferred(
        other_run,
        "--config.model.widths=(8,)",
        "--config.optimizer.name=sgd",
        "--config.optimizer.learning_rate_factors=(('^conv_', 1e-3),)",
    )
    run(chosen, tmp_path)
    before, after = saved(other_run, 8), saved(tmp_path, 6)

    def moved(layer):
        path = f"params/{layer}/kernel"
        return np.abs(after[path] - before[path]).max() / np.abs(before[path]).max()

    assert 0 < moved("conv_0_0") < 0.05 * moved("logits")


def test_source_with_other_shapes_is_refused_with_the_list(other_run, tmp_path):
    chosen = transferred(
        other_run, "--config.transfer.until=dense_0", "--config.model.stages=((3,),(5,))"
    )
    with pytest.raises(UserError) as error:
        run(chosen, tmp_path)
    said = str(error.value)
    assert "\n  params/conv_1_0/kernel: float32[3,3,3,4] in the file, float32[3,3,3,5] in" in said
    assert "conv_0_0" not in said and "dense_0/" not in said
    assert not (tmp_path / "experiment.json").exists()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            "logit",
            "config.transfer.until: the model has no layer 'logit'. Did you mean 'logits'?\n"
            "Its layers, in order: dense_0, dense_0_norm, logits",
        ),
        ("dense_0", "nothing would be taken: 'dense_0' is the model's first layer"),
    ],
)
def test_layer_that_nothing_stands_before_is_refused_naming_the_layers_there_are(
    source,  # noqa: F811
    layer,
    message,
):
    with pytest.raises(UserError) as error:
        begin(source, made(), until=layer)
    assert message in str(error.value)


def test_dry_run_says_what_would_be_taken_and_refuses_what_a_run_would(other_run, capsys):
    from launch import cli, train

    command = [*COMMON, *TRUNK, "--dry_run", f"--config.init_from={other_run}"]
    assert cli.guarded(train.main, [*command, "--config.transfer.until=dense_0"]) == cli.SUCCESS
    assert f"restored from {other_run}/checkpoints/8:\n" in capsys.readouterr().out
    assert cli.guarded(train.main, [*command, "--config.transfer.until=logit"]) == cli.BAD_INPUT
    assert "Did you mean 'logits'" in capsys.readouterr().err


def test_transfer_options_have_flags_with_the_names_of_their_fields():
    chosen = experiment("--config.init_from=runs/a", "--config.transfer.until=logits")
    assert (chosen.init_from, chosen.transfer) == ("runs/a", Transfer(until="logits"))
    assert tiny.experiment().transfer.untouched()
