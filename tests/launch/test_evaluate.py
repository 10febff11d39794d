"""`python -m launch.evaluate` reads a run back."""

import json
import shutil

import pytest

from launch import cli, evaluate, train


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of 60 steps whose best checkpoint is not its last."""
    path = tmp_path_factory.mktemp("run")
    argv = [
        f"--workdir={path}",
        "--config.steps=60",
        "--config.evaluation.every_epochs=1",
        "--config.checkpoint.every_steps=25",
        "--config.optimizer.ema_decay=0.5",
        "--config.optimizer.schedule.name=step",
        "--config.optimizer.schedule.boundaries=(0.8,)",
        "--config.optimizer.schedule.factor=1000",
    ]
    assert cli.guarded(train.main, argv) == cli.SUCCESS
    return path


def run(capsys, *argv):
    code = cli.guarded(evaluate.main, list(argv))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_newest_checkpoint_gives_the_summary_again(finished, capsys):
    summary = json.loads((finished / "summary.json").read_text())
    code, shown, _ = run(capsys, f"--workdir={finished}")
    assert code == cli.SUCCESS
    for name in ("test", "test_average"):
        accuracy, loss = summary[name]["accuracy"], summary[name]["loss"]
        assert f"step 60  {name}  accuracy {accuracy:.4f}  loss {loss:.4f}  (359 ex" in shown


def test_predictions_can_be_averaged_over_dropout_masks(finished, capsys):
    def loss(*argv):
        code, shown, _ = run(capsys, f"--workdir={finished}", "--best", *argv)
        assert code == cli.SUCCESS
        return float(shown.split("loss ")[1].split()[0])

    plain, once, often = loss(), loss("--dropout_samples=1"), loss("--dropout_samples=30")
    # One mask alone does harm; many masks come near to what no mask gives.
    assert once > often != plain
    assert often == pytest.approx(plain, rel=0.3)


def test_predictions_can_be_averaged_over_views(finished, capsys):
    _, plain, _ = run(capsys, f"--workdir={finished}")
    code, flipped, _ = run(capsys, f"--workdir={finished}", "--tta=flip")
    assert code == cli.SUCCESS
    assert flipped != plain
    _, none, _ = run(capsys, f"--workdir={finished}", "--tta=none")
    assert none == plain


def test_best_is_the_best_on_validation(finished, capsys):
    summary = json.loads((finished / "summary.json").read_text())
    code, shown, _ = run(capsys, f"--workdir={finished}", "--best", "--split=validation")
    assert code == cli.SUCCESS
    assert summary["best_step"] < 60
    best = f"step {summary['best_step']}  validation_average  accuracy "
    assert f"{best}{summary['best_validation_accuracy']:.4f}" in shown


def test_the_confusion_matrix_counts_every_example(finished, capsys):
    _, shown, _ = run(capsys, f"--workdir={finished}", "--split=train")
    matrix = shown.split("F1\n")[1].split("\n")[:10]
    assert sum(int(cell) for line in matrix for cell in line.split()[1:-2]) == 1259


def test_any_kept_step_can_be_evaluated(finished, capsys):
    code, shown, _ = run(capsys, f"--workdir={finished}", "--step=50")
    assert code == cli.SUCCESS and shown.startswith("step 50  test  accuracy")


def test_a_copied_work_directory_can_be_evaluated(finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path / "copy")
    original = run(capsys, f"--workdir={finished}")
    assert run(capsys, f"--workdir={tmp_path / 'copy'}") == original


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--step=7"], "holds no checkpoint of step 7; there are"),
        (["--step=x"], "--step"),
        (["--best", "--step=50"], "--best and --step exclude each other"),
        (["--split=dev"], "<train|validation|test>"),
    ],
)
def test_a_wrong_argument_is_refused(finished, capsys, argv, message):
    code, _, said = run(capsys, f"--workdir={finished}", *argv)
    assert code == cli.BAD_INPUT and message in said


def test_a_folder_that_is_no_work_directory_is_refused(tmp_path, capsys):
    code, _, said = run(capsys, f"--workdir={tmp_path}")
    assert code == cli.BAD_INPUT
    assert f"no file {tmp_path / 'experiment.json'}" in said and "is a work directory" not in said


def test_the_work_directory_must_be_given(capsys):
    assert run(capsys)[2] == "error: --workdir: give the work directory of a run\n"
