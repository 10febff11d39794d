"""`python -m launch.train`, from the command line to the files it leaves."""

import collections
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from launch import cli, train
from research.metrics import read
from research.program import enable_compilation_cache

SECRET = "kTq7-none-shall-see-me"
SHORT = [
    "--config.steps=30",
    "--config.logging.every_steps=10",
    "--config.logging.tensorboard=false",
]


def run(*argv):
    return cli.guarded(train.main, list(argv))


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    """The README's first run: (work directory, what was printed)."""
    path = tmp_path_factory.mktemp("runs") / "digits"
    finished = subprocess.run(
        [sys.executable, "-m", "launch.train", f"--workdir={path}"],
        capture_output=True,
        text=True,
        env={**os.environ, "SERVICE_API_KEY": SECRET, "PASSWORD": SECRET},
    )
    assert finished.returncode == cli.SUCCESS, finished.stderr
    return path, finished


def test_the_default_reaches_97_percent_on_test(default):
    path, _ = default
    assert json.loads((path / "summary.json").read_text())["test"]["accuracy"] >= 0.97


def test_it_prints_accuracy_devices_cost_and_where_its_files_are(default):
    path, finished = default
    accuracy = json.loads((path / "summary.json").read_text())["test"]["accuracy"]
    assert f"test accuracy {accuracy:.4f}" in finished.stdout
    for promised in (
        "devices ",
        "mesh data:",
        "parameters",
        "compiled in",
        "compilation cache",
        "steps/s",
        "examples/s",
        "ETA",
        str(path),
    ):
        assert promised in finished.stdout
    assert finished.stderr == ""


def test_secrets_of_the_environment_are_in_no_file(default):
    path, finished = default
    folders = (path, pathlib.Path(os.environ["HANOK_CACHE_DIR"]))
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert any("manifest.json" in file.name for file in files)
    assert [file for file in files if SECRET.encode() in file.read_bytes()] == []
    assert SECRET not in finished.stdout


def test_it_leaves_all_files_it_names(default):
    path, finished = default
    listed = finished.stdout.split(f"wrote {path}:")[1].split("\n")
    names = [line.split()[0] for line in listed if line.strip()]
    assert set(names) == {
        "summary.json", "learning_curves.png", "metrics.jsonl",
        "tensorboard/", "checkpoints/", "experiment.json",
    }  # fmt: skip
    assert all((path / name).exists() for name in names)
    assert (path / "learning_curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_summary_says_what_ran_and_how_well(default):
    path, _ = default
    summary = json.loads((path / "summary.json").read_text())
    assert summary["test"]["examples"] == 359
    assert summary["versions"].keys() >= {"hanok", "python", "jax", "flax", "optax"}
    hidden = 64 * 256 + 2 * 256 + 256 * 128 + 2 * 128
    assert summary["parameters"] == hidden + 128 * 10 + 10
    validation = [line for line in read(path / "metrics.jsonl") if line["split"] == "validation"]
    assert summary["best_validation_accuracy"] == max(line["accuracy"] for line in validation)


def test_a_finished_run_is_not_trained_again(default, capsys):
    path, _ = default
    metrics = (path / "metrics.jsonl").read_bytes()
    summary = json.loads((path / "summary.json").read_text())
    assert run(f"--workdir={path}") == cli.SUCCESS
    assert "compiled" not in capsys.readouterr().out
    assert (path / "metrics.jsonl").read_bytes() == metrics
    assert json.loads((path / "summary.json").read_text())["test"] == summary["test"]


def test_a_changed_experiment_is_refused_with_a_diff(default, capsys):
    path, _ = default
    code = run(f"--workdir={path}", "--config.seed=1", "--config.model.widths=(32,)")
    said = capsys.readouterr().err
    assert code == cli.BAD_INPUT
    assert "config.seed: 0 -> 1\n" in said
    assert "config.model.widths: (256, 128) -> (32,)\n" in said
    assert said.count("->") == 3  # the two, and the legend


def test_dry_run_prints_experiment_and_layers_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("--dry_run", "--config.model.widths=(8,)") == cli.SUCCESS
    shown = capsys.readouterr().out
    assert "--config.model.widths=(8,)" in shown
    total = next(line for line in shown.splitlines() if line.startswith("total"))
    parameters = 64 * 8 + 2 * 8 + 8 * 10 + 10
    assert f"{parameters:,}" in total and f"{4 * (parameters + 2 * 8):,}" in total
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dry_run", [["--dry_run"], []], ids=["dry run", "run"])
@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "--config.optimizer.freeze=('conv_',)",
            "config.optimizer.freeze[0]: 'conv_' is found in no parameter's path.",
        ),
        ("--config.loss.class_weights=(1, 2)", "2 weights are given for 10 classes"),
        ("--config.global_batch_size=5000", "larger than the training split of 1259 examples"),
    ],
)
def test_what_does_not_fit_model_or_data_is_refused_also_dry(
    override, message, dry_run, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert run(override, *dry_run) == cli.BAD_INPUT
    assert message in capsys.readouterr().err


def test_dry_run_shows_the_outputs_that_the_loss_needs(capsys):
    assert run("--dry_run", "--config.loss.name=mse", "--config.model.name=perceptron") == 0
    assert "logits  Dense  10" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--config.global_batch_size=5000"], "larger than the training split of 1259 examples"),
        (
            ["--config.model.name=cnn", "--config.model.stages=((4,),(4,),(4,),(4,))"],
            "images of 8×8 pixels are too small: 4 stages with pooling by 2 need at least 16×16",
        ),
        (
            ["--config.data.name=digit"],
            "Hanok itself has: csv, digits, folder, logic, playground. Did you mean 'digits'?",
        ),
        (["--config.data.name=fashion_mnst"], "Did you mean 'fashion_mnist'?"),
        (
            ["--config.data.name=mnist", "--config.data.data_dir=not_there"],
            "python -m launch.prepare_data --dataset=mnist --data_dir=not_there",
        ),
    ],
)
def test_an_experiment_that_cannot_run_leaves_no_claim(tmp_path, capsys, overrides, message):
    assert run(f"--workdir={tmp_path / 'run'}", *overrides) == cli.BAD_INPUT
    assert message in capsys.readouterr().err
    # The same directory is free for the mended command.
    assert not (tmp_path / "run" / "experiment.json").exists()


def test_a_work_directory_that_cannot_be_written_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(f"--workdir={tmp_path / 'file' / 'run'}") == cli.BAD_INPUT
    assert f"{tmp_path / 'file' / 'run'} can't be written to" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path, capsys):
    overrides = [
        f"--workdir={tmp_path}", *SHORT,
        "--config.checkpoint.every_steps=4",
        "--config.optimizer.name=sgd",
        "--config.optimizer.schedule.name=step",
        "--config.optimizer.schedule.boundaries=(0.5,)",
        "--config.optimizer.schedule.factor=1e30",
    ]  # fmt: skip
    assert run(*overrides) == cli.DIVERGED
    said = capsys.readouterr().err
    # The 16th update is the first with the huge learning rate.
    assert "not a finite number at step 17" in said
    assert "The checkpoint of step 16" in said
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir())[-1] == "16"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_same_command_goes_on(tmp_path, number):
    command = [
        sys.executable, "-m", "launch.train", f"--workdir={tmp_path}",
        "--config.steps=4000", "--config.logging.every_steps=10",
        "--config.logging.tensorboard=false", "--config.evaluation.every_epochs=1000",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert any(b"ETA" in line for line in process.stdout)
        time.sleep(0.2)
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == cli.STOPPED, errors
    assert errors == b""
    saved = re.search(rf"stopped by {number.name} after step (\d+);", output.decode())[1]
    assert (tmp_path / "checkpoints" / saved).is_dir()
    resumed = subprocess.run(command, capture_output=True, text=True)
    assert resumed.returncode == cli.SUCCESS
    assert f"resuming after step {saved}" in resumed.stdout
    steps = [line["step"] for line in read(tmp_path / "metrics.jsonl") if line["split"] == "train"]
    assert steps == list(range(10, 4001, 10))


def test_training_resuming_and_evaluating_never_import_tensorflow(tmp_path):
    script = textwrap.dedent(f"""
        import sys
        from launch import cli, evaluate, train
        argv = ["--workdir={tmp_path}", "--config.steps=5"]
        assert cli.guarded(train.main, argv) == 0
        assert cli.guarded(train.main, argv) == 0
        assert cli.guarded(evaluate.main, argv[:1]) == 0
        found = [name for name in sys.modules if name.split(".")[0] == "tensorflow"]
        assert not found, found
    """)
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        (
            "--config.model.name=cnn",
            "--config.model.stages=((4,),)",
            "--config.augmentation.crop=1",
        ),
        ("--config.population.seeds=2",),
    ],
    ids=["mlp", "cnn", "population"],
)
def test_a_second_run_compiles_nothing_new(tmp_path, monkeypatch, overrides):
    monkeypatch.setenv("HANOK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")  # those of this process are chosen already
    seen = collections.Counter()

    def listen(event, **_):
        seen[event.rpartition("/")[2]] += 1

    jax.monitoring.register_event_listener(listen)
    try:
        for name, kind, other in (
            ("first", "cache_misses", "cache_hits"),
            ("second", "cache_hits", "cache_misses"),
        ):
            seen.clear()
            jax.clear_caches()
            compilation_cache.reset_cache()
            assert run(f"--workdir={tmp_path / name}", *SHORT, *overrides) == cli.SUCCESS
            assert seen[kind] == seen["compile_requests_use_cache"] > 0 == seen[other]
    finally:
        jax.monitoring.unregister_event_listener(listen)
        monkeypatch.undo()
        compilation_cache.reset_cache()
        enable_compilation_cache()  # that of all tests again


def test_outside_the_main_thread_a_run_says_that_signals_cannot_stop_it(tmp_path, caplog):
    codes = []
    argv = [f"--workdir={tmp_path}", *SHORT]
    thread = threading.Thread(target=lambda: codes.append(run(*argv)))
    thread.start()
    thread.join()
    assert codes == [cli.SUCCESS]
    assert "not in the main thread: SIGINT and SIGTERM will not stop" in caplog.text
