"""Whose a work directory is, and what is said where it is not as it should be."""

import json

import pytest

from research import workdir
from research.errors import UserError
from tests.runs import experiment


@pytest.fixture
def files(tmp_path):
    return workdir.open_workdir(str(tmp_path / "run"))


def test_a_missing_directory_is_created(tmp_path):
    assert workdir.open_workdir(str(tmp_path / "a" / "b")).root.is_dir()


def test_the_experiment_is_read_back_whole(files):
    chosen = experiment("--config.seed=5", "--config.optimizer.name=sgd")
    workdir.claim(files, chosen, "digest")
    assert workdir.read_experiment(files) == (chosen, "digest")


def test_versions_stand_beside_the_experiment(files):
    workdir.claim(files, experiment(), "digest")
    assert json.loads(files.experiment.read_text())["versions"] == workdir.versions()


def test_the_same_experiment_may_claim_it_again(files):
    for _ in range(2):
        workdir.claim(files, experiment(), "digest")


def test_another_experiment_is_refused_with_the_fields_that_differ(files):
    workdir.claim(files, experiment(), "digest")
    with pytest.raises(UserError) as error:
        workdir.claim(files, experiment("--config.optimizer.learning_rate=0.1"), "digest")
    assert "  config.optimizer.learning_rate: 0.003 -> 0.1\n" in str(error.value)


def test_changed_data_are_refused(files):
    workdir.claim(files, experiment(), "digest")
    with pytest.raises(UserError, match="data set 'digits' has changed since"):
        workdir.claim(files, experiment(), "another")


def test_checkpoints_of_nobody_are_not_taken_over(files):
    (files.checkpoints / "100").mkdir(parents=True)
    with pytest.raises(UserError, match="holds checkpoints but no experiment.json"):
        workdir.claim(files, experiment(), "digest")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "can't be read"),
        ("[]", "is damaged: it does not describe an experiment"),
        ('{"experiment": {"sed": 1}, "data_fingerprint": ""}', "Did you mean 'seed'?"),
        ('{"experiment": {"name": "x", "seed": "1"}, "data_fingerprint": ""}', "a whole number"),
    ],
)
def test_a_damaged_experiment_file_is_an_error(files, content, message):
    files.experiment.write_text(content)
    with pytest.raises(UserError) as error:
        workdir.claim(files, experiment(), "digest")
    assert message in str(error.value)


def test_json_is_written_whole_or_not_at_all(files):
    workdir.write_json(files.summary, {"a": 1})
    with pytest.raises(TypeError):
        workdir.write_json(files.summary, {"a": object()})
    assert json.loads(files.summary.read_text()) == {"a": 1}
