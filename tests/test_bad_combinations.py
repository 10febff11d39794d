"""What can't work together is refused at once, with the reason, or warned of."""

import numpy as np
import pytest

from launch import cli, train
from research.checkpoint_files import read_arrays
from tests.runs import experiment, run

TABLE = ["--config.data.name=playground", "--config.global_batch_size=32"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The work directory of a run of one step."""
    path = tmp_path_factory.mktemp("source")
    run(experiment("--config.steps=1", "--config.model.widths=(8,)"), path)
    return path


def refusal(capsys, *options):
    """What `launch.train` says when it refuses these options."""
    assert cli.guarded(train.main, [*options]) == cli.BAD_INPUT
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            [*TABLE, "--config.augmentation.cutmix=1.0"],
            "error: config.augmentation.cutmix: acts on images (height, width, channels); these "
            "inputs have the shape (2,)",
        ),
        (
            [*TABLE, "--config.model.name=airbench"],
            "error: config.model.name: 'airbench' takes images of (height, width, channels), and "
            "each input of the data has the shape (2,)",
        ),
        (
            ["--config.model.name=airbench", "--config.model.widths=(8,8,8)"],
            "error: config.model.widths: images of 8×8 pixels are too small: 3 blocks need at "
            "least 9×9.",
        ),
        (
            ["--config.data.balance=smote"],
            "error: config.data.balance: smote makes rows of tables; between the images of "
            "'digits' lies no image. Use 'sampling' or 'weights'",
        ),
        (
            ["--config.optimizer.name=sgd", "--config.optimizer.b1=0.8"],
            "error: --config.optimizer.b1: there is no such field.",
        ),
        (
            ["--config.optimizer.freeze=('conv_',)"],
            "error: config.optimizer.freeze[0]: 'conv_' is found in no parameter's path.",
        ),
        (
            ["--config.transfer.until=logits"],
            "error: config.init_from: give the run whose arrays are meant",
        ),
        (
            ["--config.loss.class_weights=(1.0, 2.0)"],
            "error: config.loss.class_weights: 2 weights are given for 10 classes",
        ),
        (
            ["--config.data.balance=weights", "--config.loss.class_weights=(1.0, 2.0)"],
            "error: config.loss.class_weights: are given by config.data.balance=weights",
        ),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_combination_is_refused_with_its_reason(capsys, tmp_path, options, reason):
    assert reason in refusal(capsys, *options, f"--workdir={tmp_path}/run")
    assert not (tmp_path / "run" / "experiment.json").exists()


def test_transfer_from_a_source_with_other_shapes_is_refused_with_the_list(
    capsys, tmp_path, source
):
    said = refusal(
        capsys,
        f"--config.init_from={source}",
        "--config.transfer.until=logits",
        "--config.model.widths=(7,)",
        f"--workdir={tmp_path}/run",
    )
    assert "holds other arrays than this experiment needs:\n" in said
    assert "params/dense_0/kernel: float32[64,8] in the file, float32[64,7] in memory" in said
    assert not (tmp_path / "run" / "experiment.json").exists()


def test_step_activation_is_warned_of_and_trains_nothing_before_it(capsys, tmp_path):
    options = [
        "--config.model.activation=step", "--config.model.widths=(8,)",
        "--config.model.batch_norm=false", "--config.model.dropout_rate=0",
        "--config.optimizer.name=sgd", "--config.optimizer.learning_rate=1",
    ]  # fmt: skip
    assert cli.guarded(train.main, [*options, "--dry_run"]) == cli.SUCCESS
    assert (
        "warning: config.model.activation: the gradient of 'step' is 0 everywhere; gradient "
        "descent trains nothing before it" in capsys.readouterr().err
    )
    for steps in (1, 5):
        run(experiment(*options, f"--config.steps={steps}"), tmp_path / str(steps))
    one, five = (read_arrays(tmp_path / str(n) / "checkpoints" / str(n)) for n in (1, 5))
    for name in ("kernel", "bias"):
        np.testing.assert_array_equal(one[f"params/dense_0/{name}"], five[f"params/dense_0/{name}"])
    assert (one["params/logits/kernel"] != five["params/logits/kernel"]).any()
