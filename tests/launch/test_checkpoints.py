"""`python -m launch.checkpoints`: what it shows, refuses, copies and removes."""

import dataclasses
import re

import jax.numpy as jnp
import pytest

from launch import checkpoints, cli
from research import manifest, metrics, workdir
from research.checkpoints import Checkpoints
from research.lock import sole_writer
from tests.runs import experiment, run

CHOSEN = experiment("--config.steps=5", "--config.model.widths=(8,)")


def fill(path, scores, chosen=CHOSEN, offset=0.0):
    """Makes a work directory with a checkpoint and a line of metrics for each step."""
    files = workdir.open_workdir(str(path))
    workdir.claim(files, chosen, "digest")
    saved = Checkpoints(
        files.checkpoints,
        keep=9,
        about={"experiment": dataclasses.asdict(chosen), "versions": workdir.versions()},
    )
    for step, accuracy in scores.items():
        state = {"step": jnp.asarray(step), "w": jnp.arange(6.0).at[2].add(step + offset)}
        saved.save(step, state, accuracy and (accuracy, -1.0))
    saved.close()
    metrics.rewrite(files.metrics, [{"step": step, "split": "train"} for step in scores])
    return path


@pytest.fixture
def filled(tmp_path):
    return fill(tmp_path / "run", {1: None, 2: 0.5, 3: None, 4: None})


def damage(path, step):
    file = next((path / "checkpoints" / str(step) / "default" / "d").iterdir())
    file.write_bytes(bytes(file.stat().st_size))


def call(capsys, action, path, *flags):
    """Returns (exit code, what was printed, what was said on stderr)."""
    code = cli.guarded(checkpoints.main, [action, f"--workdir={path}", *flags])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def steps_of(path):
    return sorted(int(folder.name) for folder in (path / "checkpoints").iterdir())


def test_ls_shows_step_time_size_version_and_score(filled, capsys):
    code, shown, _ = call(capsys, "ls", filled)
    lines = shown.splitlines()
    assert code == cli.SUCCESS and [int(line.split()[0]) for line in lines] == [1, 2, 3, 4]
    pattern = r"  20\d\d-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}  +[\d,]+ bytes  jax [\d.]+"
    assert re.fullmatch(rf" +2{pattern}  validation accuracy 0\.5000", lines[1])
    assert re.fullmatch(rf" +4{pattern}", lines[3])


def test_ls_shows_what_noted_less_of_itself(tmp_path, capsys):
    saved = Checkpoints(tmp_path / "checkpoints")
    saved.save(1, {"w": jnp.arange(6.0)})
    saved.close()
    content = manifest.read(tmp_path / "checkpoints" / "1")
    manifest.write(tmp_path / "checkpoints" / "1", content["leaves"], {})
    code, shown, _ = call(capsys, "ls", tmp_path)
    pattern = r" +1  at a time not noted +[\d,]+ bytes  jax of a version not noted\n"
    assert code == cli.SUCCESS and re.fullmatch(pattern, shown)


def test_ls_names_a_damaged_manifest(filled, capsys):
    (filled / "checkpoints" / "3" / manifest.NAME).write_text("{}")
    code, shown, _ = call(capsys, "ls", filled)
    assert code == cli.SUCCESS and shown.splitlines()[2].strip() == "3  its manifest is damaged"


def test_verify_names_what_is_damaged(filled, capsys):
    assert call(capsys, "verify", filled)[0] == cli.SUCCESS
    damage(filled, 3)
    code, shown, _ = call(capsys, "verify", filled)
    lines = [line.split(maxsplit=1) for line in shown.splitlines()]
    assert code == cli.BAD_INPUT
    assert [line[1] for line in lines if line[0] != "3"] == ["undamaged"] * 3
    assert re.fullmatch(r"DAMAGED: default/d/\w+ was altered", lines[2][1])
    assert call(capsys, "verify", filled, "--step=4")[0] == cli.SUCCESS


def test_diff_names_arrays_and_fields_that_differ(filled, tmp_path, capsys):
    _, shown, _ = call(capsys, "diff", filled, "--step=1", "--with_step=4")
    assert "  step: 1 of 1 elements differ, by 3 at most\n" in shown
    assert "  w: 1 of 6 elements differ, by 3 at most\n" in shown
    assert "2 arrays differ, 0 are equal" in shown
    other = fill(tmp_path / "other", {4: None}, dataclasses.replace(CHOSEN, seed=7), offset=0.5)
    _, shown, _ = call(capsys, "diff", filled, f"--with={other}")
    assert "seed: 0 -> 7\n" in shown and "  w: 1 of 6 elements differ, by 0.5 at most\n" in shown
    assert "1 arrays differ, 1 are equal" in shown


def test_prune_keeps_the_newest_undamaged_and_the_best(filled, capsys):
    damage(filled, 4)
    code, shown, _ = call(capsys, "prune", filled, "--keep=1")
    assert code == cli.SUCCESS
    assert shown == "removed: 1\nkept: 2, 3\ndamaged and left alone: 4\n"
    assert steps_of(filled) == [2, 3, 4]


def test_prune_removes_nothing_where_all_are_damaged(filled, capsys):
    for step in (1, 2, 3, 4):
        damage(filled, step)
    code, _, said = call(capsys, "prune", filled)
    assert code == cli.BAD_INPUT and "is undamaged; none was removed" in said
    assert steps_of(filled) == [1, 2, 3, 4]


def test_prune_does_not_touch_what_a_run_is_writing(filled, capsys):
    with sole_writer(filled / "lock"):
        code, _, said = call(capsys, "prune", filled)
    assert code == cli.BAD_INPUT and "is being written by another run" in said
    assert steps_of(filled) == [1, 2, 3, 4]


def test_copy_takes_the_checkpoint_its_experiment_and_its_metrics(filled, tmp_path, capsys):
    target = tmp_path / "copy"
    code, shown, _ = call(capsys, "copy", filled, f"--to={target}", "--best")
    assert code == cli.SUCCESS and shown == f"{target}/checkpoints/2\n"
    assert steps_of(target) == [2]
    assert (target / "experiment.json").read_text() == (filled / "experiment.json").read_text()
    assert [line["step"] for line in metrics.read(target / "metrics.jsonl")] == [1, 2]
    assert call(capsys, "verify", target)[0] == cli.SUCCESS
    # A later one joins it; the same once more does not.
    call(capsys, "copy", filled, f"--to={target}")
    assert [line["step"] for line in metrics.read(target / "metrics.jsonl")] == [1, 2, 3, 4]
    code, _, said = call(capsys, "copy", filled, f"--to={target}")
    assert code == cli.BAD_INPUT and "checkpoints/4 is there already" in said


def test_copy_refuses_damage_and_another_experiments_directory(filled, tmp_path, capsys):
    damage(filled, 4)
    code, _, said = call(capsys, "copy", filled, f"--to={tmp_path / 'copy'}", "--step=4")
    assert code == cli.BAD_INPUT and "checkpoints/4 is damaged" in said
    assert not (tmp_path / "copy").exists()
    other = fill(tmp_path / "other", {9: None}, dataclasses.replace(CHOSEN, seed=7))
    code, _, said = call(capsys, "copy", filled, f"--to={other}", "--step=3")
    assert code == cli.BAD_INPUT and "belongs to another experiment" in said
    assert steps_of(other) == [9]


def test_a_run_goes_on_in_a_copy(tmp_path, capsys):
    run(CHOSEN, tmp_path / "run", stop_after=3)
    assert call(capsys, "copy", tmp_path / "run", f"--to={tmp_path / 'copy'}")[0] == cli.SUCCESS
    assert run(CHOSEN, tmp_path / "copy").step == 5
    assert run(CHOSEN, tmp_path / "run").step == 5
    same = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("run", "copy")]
    assert same[0] == same[1]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "say what to do first: copy, diff, ls, prune, verify"),
        (["lss"], "no action 'lss'. Did you mean 'ls'?"),
        (["ls"], "--workdir: give the work directory of a run"),
        (["ls", "--workdir=not_there"], "not_there holds no checkpoints; is it a work directory?"),
        (["prune", "--workdir=a", "--keep=0"], "keep"),
    ],
)
def test_wrong_commands_are_answered_with_what_to_do(argv, message, capsys):
    assert cli.guarded(checkpoints.main, argv) == cli.BAD_INPUT
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["verify", "--step=7"], "holds no checkpoint of step 7; there are 1, 2, 3, 4"),
        (["diff", "--step=4"], "both are the same checkpoint"),
        (["copy"], "--to: give the work directory to copy to"),
    ],
)
def test_what_is_not_there_is_named(filled, flags, message, capsys):
    code, _, said = call(capsys, flags[0], filled, *flags[1:])
    assert code == cli.BAD_INPUT and message in said
