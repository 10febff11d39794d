"""From command lines to experiments, and what is said about wrong ones."""

import subprocess
import sys
import textwrap

import pytest

from launch import cli, train
from launch.flags import describe, parse_experiment
from research.errors import UserError
from research.transfer import Transfer
from tests.runs import experiment


def refusal(*argv):
    """Returns what is said about a command line."""
    with pytest.raises(UserError) as error:
        experiment(*argv)
    return str(error.value)


def test_an_override_sets_its_field_and_no_other():
    chosen = experiment("--config.optimizer.learning_rate=0.5")
    assert chosen.optimizer.learning_rate == 0.5
    changed = describe(chosen).splitlines()
    default = describe(experiment()).splitlines()
    assert [line for line in changed if line not in default] == [
        "--config.optimizer.learning_rate=0.5"
    ]


def test_the_printed_experiment_is_a_command_line_that_gives_it_again():
    chosen = experiment(
        "--config.model.name=cnn", "--config.model.stages=((4, 4), (8,))", "--config.seed=3"
    )
    assert experiment(*describe(chosen).splitlines()) == chosen


def test_a_component_is_chosen_wherever_its_name_stands():
    chosen = experiment("--config.optimizer.momentum=0.8", "--config.optimizer.name=nesterov")
    assert type(chosen.optimizer).__name__ == "Nesterov" and chosen.optimizer.momentum == 0.8


def test_a_component_within_a_chosen_component_can_be_chosen_too():
    chosen = experiment(
        "--config.optimizer.schedule.name=one_cycle",
        "--config.optimizer.name=sgd",
        "--config.optimizer.schedule.start_factor=0.5",
    )
    assert chosen.optimizer.name == "sgd"
    assert chosen.optimizer.schedule.name == "one_cycle"
    assert chosen.optimizer.schedule.start_factor == 0.5


def test_patterns_and_pairs_are_given_as_tuples():
    given = [
        "--config.optimizer.freeze=('^conv_', 'bias$')",
        "--config.optimizer.learning_rate_factors=(('dense_0/', 0.1), ('logits/', 10))",
    ]
    optimizer = experiment(*given).optimizer
    assert optimizer.freeze == ("^conv_", "bias$")
    assert optimizer.learning_rate_factors == (("dense_0/", 0.1), ("logits/", 10.0))
    assert experiment(*describe(experiment(*given)).splitlines()).optimizer == optimizer


def test_option_that_the_optimizer_lacks_is_refused_with_the_nearest_one():
    assert refusal("--config.optimizer.name=rmsprop", "--config.optimizer.decya=0.5").startswith(
        "--config.optimizer.decya: there is no such field. Did you mean 'optimizer.decay'?"
    )
    assert "--config.optimizer.b1: there is no such field" in refusal(
        "--config.optimizer.name=sgd", "--config.optimizer.b1=0.9"
    )


def test_warnings_are_shown_before_anything_is_done(capsys):
    experiment("--config.model.activation=step")
    assert capsys.readouterr().err == (
        "warning: config.model.activation: the gradient of 'step' is 0 everywhere; gradient "
        "descent trains nothing before it\n"
    )
    experiment()
    assert capsys.readouterr().err == ""


def test_an_override_may_be_given_as_two_arguments():
    assert experiment("--config.seed", "7").seed == 7


def test_of_several_overrides_of_a_field_the_last_counts():
    chosen = experiment(
        "--config.model.widths=(8,)", "--config.seed", "1", "--config.model.batch_norm",
        "--config.model.widths", "(4, 3)", "--config.seed=2", "--noconfig.model.batch_norm",
    )  # fmt: skip
    assert chosen.model.widths == (4, 3)
    assert chosen.seed == 2 and chosen.model.batch_norm is False


def test_what_to_restore_has_flags_of_its_own():
    chosen = experiment(
        "--restore_from=a/checkpoints/5", "--restore_only", "params/", "--allow_missing=x"
    )
    assert chosen.init_from == "a/checkpoints/5"
    assert chosen.transfer == Transfer(only="params/", allow_missing="x")


def test_an_override_without_a_name_is_refused():
    for argument in ("--config.=3", "--config."):
        assert "config.: there is no such field" in refusal(argument)


def test_booleans_are_switched_by_name_alone():
    assert experiment("--config.model.batch_norm").model.batch_norm is True
    assert experiment("--noconfig.logging.tensorboard").logging.tensorboard is False


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--config.optimizer.learning_rat=1", "Did you mean 'optimizer.learning_rate'?"),
        ("--config.widths=1", "Did you mean 'model.widths'?"),
        ("--config.seed=abc", "--config.seed: takes a whole number, not 'abc'"),
        ("--config.seed=1.5", "--config.seed: takes a whole number, not '1.5'"),
        ("--config.epochs=ten", "--config.epochs: takes a number, not 'ten'"),
        ("--config.model.batch_norm=maybe", "takes true or false, not 'maybe'"),
        ("--config.model.widths=a", "takes a whole number, not 'a'"),
        ("--config.seed", "--config.seed takes a whole number; give it as --config.seed=value"),
        ("--config.model.name=mpl", "Did you mean 'mlp'?\nKnown names: airbench, cnn, mlp, per"),
        ("--config.optimizer.name=adan", "Did you mean 'adam'?\nKnown names: adabelief, adabo"),
        ("--config.optimizer.schedule.name=cosine", "Did you mean 'warmup_cosine'?"),
        ("--config.optimizer.learning_rate=0", "must be positive, not 0.0"),
        ("--config.optimizer.learning_rate=-1e-3", "must be positive, not -0.001"),
        ("--config.optimizer.learning_rate=nan", "takes a finite number, not nan"),
        ("runs/a", "unexpected argument 'runs/a'; flags are given as --name=value"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_would_be_right(override, message):
    assert message in refusal(override)


def test_an_unknown_flag_is_refused_with_the_nearest_one():
    with pytest.raises(UserError, match="'workdri'. Did you mean: workdir ?"):
        train.main(["--workdri=x"])


def test_a_missing_config_file_is_refused_with_those_that_ship():
    said = refusal("--config=configs/digits_mpl.py")
    assert "no file 'configs/digits_mpl.py'" in said
    assert "Did you mean 'configs/digits_mlp.py'?" in said
    assert "configs/cifar10_cnn.py" in said


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def get_config():\n    return 1 / 0\n", "line 2: ZeroDivisionError: division by zero"),
        ("def get_config(:\n", "line 1: SyntaxError"),
        ("import not_there\n", "line 1: ModuleNotFoundError: No module named 'not_there'"),
        ("x = 1\n", "AttributeError"),
        ("def get_config():\n    return {}\n", "must return an Experiment, not dict"),
    ],
)
def test_a_config_that_fails_is_named_with_the_line(tmp_path, code, message):
    path = tmp_path / "wrong.py"
    path.write_text(code)
    said = refusal(f"--config={path}")
    assert str(path) in said and message in said


def test_a_config_that_is_not_python_is_refused(tmp_path):
    path = tmp_path / "experiment.json"
    path.write_text("{}")
    assert "is not a Python file (*.py)" in refusal(f"--config={path}")


def test_errors_become_one_message_and_exit_code_2(capsys):
    assert cli.guarded(train.main, ["--config.seed=abc"]) == cli.BAD_INPUT
    captured = capsys.readouterr()
    assert captured.err == "error: --config.seed: takes a whole number, not 'abc'\n"
    assert captured.out == ""


def test_help_lists_flags_and_fields(capsys):
    assert cli.guarded(train.main, ["--help"]) == cli.SUCCESS
    shown = capsys.readouterr().out
    assert "--workdir" in shown and "optimizer.learning_rate" in shown


def test_a_wrong_command_line_fails_before_anything_slow_is_imported():
    script = textwrap.dedent("""
        import sys
        from launch import cli, train
        assert cli.guarded(train.main, ["--config.seed=abc"]) == cli.BAD_INPUT
        slow = {"jax", "flax", "optax", "orbax", "tensorflow", "tensorflow_datasets", "sklearn"}
        assert not slow & set(sys.modules), slow & set(sys.modules)
    """)
    subprocess.run([sys.executable, "-c", script], check=True)


def test_an_experiment_cannot_be_changed_once_it_is_parsed():
    chosen, _ = parse_experiment([], lambda values: None, "")
    with pytest.raises(AttributeError, match="frozen"):
        chosen.optimizer.learning_rate = 1.0
