"""From a command line to an experiment and the command's own flags."""

import dataclasses
import importlib.util
import pathlib
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import config_flags

import configs
from launch import cli
from research import records
from research.errors import UserError, suggestion
from research.experiment import Experiment

DEFAULT_CONFIG = pathlib.Path(configs.__file__).parent / "digits_mlp.py"

SHORTHANDS = {
    "sweep": "population.sweep",
    "restore_from": "init_from",
    "restore_only": "transfer.only",
    "allow_missing": "transfer.allow_missing",
}
"""Flags that stand for fields of the experiment."""

_FLAGS_OF_ABSL = ("flagfile", "undefok")
_SHORTHAND = re.compile(rf"^--?({'|'.join(SHORTHANDS)})(?=$|=)")
_ILLEGAL_VALUE = re.compile(r"flag --(?P<name>[^=]+)=(?P<value>.*?): ", re.DOTALL)
_OVERRIDE = re.compile(r"--?(?:no)?config\.(?P<path>[^=]*?)(?:=(?P<value>.*))?$", re.DOTALL)


def parse(
    argv: list[str],
    define: Callable[[flags.FlagValues], None],
    usage: str,
    fields: Mapping[str, Any] | None = None,
) -> flags.FlagValues:
    """Parses the command line of an entry point that takes no experiment.

    Args:
      argv: arguments after the program's name.
      define: defines the entry point's flags.
      usage: what --help shows before the flags.
      fields: path of an experiment's field, such as "optimizer.learning_rate"
        -> its type; these flags are named --config.PATH.

    Raises:
      UserError: if an argument is unknown or has the wrong type.
      HelpShown: after --help.
    """
    values = flags.FlagValues()
    define(values)
    flags.DEFINE_bool("help", False, "show this help and stop", flag_values=values)
    try:
        rest = values(["", *argv])[1:]
    except flags.Error as error:
        raise UserError(_readable(str(error), fields or {})) from error
    if values.help:
        print(f"{usage.strip()}\n\n{_describe_flags(values, fields or {})}")
        raise cli.HelpShown
    if rest:
        raise UserError(f"unexpected argument {rest[0]!r}; flags are given as --name=value")
    return values


def parse_experiment(
    argv: list[str], define: Callable[[flags.FlagValues], None], usage: str
) -> tuple[Experiment, flags.FlagValues]:
    """Parses a command line with --config and overrides --config.FIELD=value.

    Returns:
      The experiment, checked and frozen, and the values of the other flags.

    Raises:
      UserError: if a flag, a field, a value or the config file is wrong.
      HelpShown: after --help.
    """
    argv = [_SHORTHAND.sub(lambda match: f"--config.{SHORTHANDS[match[1]]}", a) for a in argv]
    argv = _last_of_each(argv)
    config, argv = take_path("config", argv)
    recorded, argv = take_path("config_json", argv)
    if config and recorded:
        raise UserError("--config and --config_json exclude each other; give one of them")
    experiment = load_recorded(recorded) if recorded else load_config(config or DEFAULT_CONFIG)
    _choose_components(experiment, argv)
    _check_override_names(experiment, argv)

    def define_all(values: flags.FlagValues) -> None:
        flags.DEFINE_string(
            "config_json",
            "",
            "path of a recorded experiment.json, in place of --config; nothing in it is executed",
            flag_values=values,
        )
        config_flags.DEFINE_config_dataclass(
            "config",
            experiment,
            "path of a config file; configs/digits_mlp.py unless given",
            flag_values=values,
            sys_argv=["", *argv],
        )
        define(values)

    fields = {path: field.type for path, field in records.paths(experiment)}
    values = parse(argv, define_all, usage, fields)
    experiment = values.config
    records.check(experiment)
    records.freeze(experiment)
    for warning in records.warnings(experiment):
        print(f"warning: {warning}", file=sys.stderr)
    return experiment, values


def make_experiment(config: pathlib.Path, overrides: Sequence[str]) -> Experiment:
    """Returns the experiment of a config file with overrides, checked and frozen."""
    argv = [f"--config={config}", *overrides]
    return parse_experiment(argv, lambda values: None, "")[0]


def load_config(path: str | pathlib.Path) -> Experiment:
    """Runs a config file and returns the experiment of its `get_config()`.

    Raises:
      UserError: if there is no such file, or it doesn't give an experiment.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        known = [str(p) for p in sorted(DEFAULT_CONFIG.parent.glob("[!_]*.py"))]
        known = [str(pathlib.Path("configs", pathlib.Path(p).name)) for p in known]
        raise UserError(
            f"--config: no file {str(path)!r}.{suggestion(str(path), known)}\n"
            f"Shipped with Hanok: {', '.join(known)}"
        )
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    if spec is None:
        raise UserError(f"--config: {path} is not a Python file (*.py)")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        experiment = module.get_config()
    except UserError:
        raise
    except Exception as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        line = getattr(error, "lineno", None) or (frames[-1].lineno if frames else "?")
        raise UserError(
            f"--config: {path}, line {line}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(experiment, Experiment):
        raise UserError(
            f"--config: get_config() in {path} must return an Experiment, "
            f"not {type(experiment).__name__}"
        )
    return experiment


def _describe_flags(values: flags.FlagValues, fields: Mapping[str, Any]) -> str:
    """Returns the flags with their help, and the experiment's fields with their types."""
    lines = ["Flags:"]
    names = sorted(n for n in values if not n.startswith(("config.", *_FLAGS_OF_ABSL)))
    width = max(map(len, names)) + 2
    lines += [f"  --{name:<{width}}{values[name].help}" for name in names]
    if fields:
        lines += [f"  --{name:<15}short for --config.{path}" for name, path in SHORTHANDS.items()]
        lines.append("\nFields of the experiment, given as --config.FIELD=value:")
        width = max(map(len, fields)) + 2
        lines += [f"  {path:<{width}}{records.type_name(type_)}" for path, type_ in fields.items()]
    return "\n".join(lines)


def _readable(error: str, fields: Mapping[str, Any]) -> str:
    """Says what a flag takes, where absl quotes the exception of its parser."""
    match = _ILLEGAL_VALUE.match(error)
    path = match and match["name"].removeprefix("config.")
    if path not in fields:
        return error
    return f"--config.{path}: takes {records.type_name(fields[path])}, not {match['value']!r}"


def load_recorded(path: str | pathlib.Path) -> Experiment:
    """Returns the experiment that a run recorded in experiment.json; executes nothing.

    Raises:
      UserError: if there is no such file, or it doesn't describe an experiment.
    """
    from research import remote, workdir

    experiment, _ = workdir.read_recorded(remote.locate(path))
    return experiment


def take_path(flag: str, argv: list[str]) -> tuple[str, list[str]]:
    """Splits --FLAG=PATH (or --FLAG PATH) off the arguments; the path is "" without it."""
    path, rest, i = "", [], 0
    while i < len(argv):
        name, equals, value = argv[i].partition("=")
        if name in (f"--{flag}", f"-{flag}"):
            if not equals:
                i += 1
                value = argv[i] if i < len(argv) else ""
            if not value:
                raise UserError(f"--{flag}: give the path of a file")
            path = value
        else:
            rest.append(argv[i])
        i += 1
    return path, rest


def _overrides(argv: list[str]) -> list[tuple[str, str | None]]:
    """Returns (field path, value) of every --config.FIELD in the arguments."""
    return [(path, value) for path, value, _ in _located_overrides(argv)]


def _located_overrides(argv: list[str]) -> list[tuple[str, str | None, range]]:
    """Returns the same with the positions of the arguments."""
    found = []
    for i, argument in enumerate(argv):
        if match := _OVERRIDE.match(argument):
            value, stop = match["value"], i + 1
            if value is None and stop < len(argv) and not argv[stop].startswith("-"):
                value, stop = argv[stop], stop + 1
            found.append((match["path"], value, range(i, stop)))
    return found


def _last_of_each(argv: list[str]) -> list[str]:
    """Leaves of several overrides of a field the last; config_flags would join tuples."""
    located = _located_overrides(argv)
    last = {path: where for path, _, where in located}
    dropped = {i for path, _, where in located if where != last[path] for i in where}
    return [argument for i, argument in enumerate(argv) if i not in dropped]


def _choose_components(experiment: Experiment, argv: list[str]) -> None:
    """Applies --config.COMPONENT.name=…, which decides what fields there are."""
    names = {path: name for path, name in _overrides(argv) if path.endswith(".name") and name}
    # From the outside in: a new component brings components of its own.
    for path in sorted(names, key=lambda path: path.count(".")):
        component = path.removesuffix(".name")
        for candidate, owner, field_name in records.components(experiment):
            if candidate == component:
                records.choose(owner, field_name, names[path], f"config.{component}")


def _check_override_names(experiment: Experiment, argv: list[str]) -> None:
    fields = dict(records.paths(experiment))
    for path, value in _overrides(argv):
        if path not in fields:
            raise UserError(
                f"--config.{path}: there is no such field.{suggestion(path, fields)}\n"
                "--dry_run prints all fields of an experiment"
            )
        if value is None and fields[path].type is not bool:
            raise UserError(
                f"--config.{path} takes {records.type_name(fields[path].type)}; give it as "
                f"--config.{path}=value"
            )


def describe(experiment: Experiment) -> str:
    """Returns the experiment as lines "--config.field=value", ready to be copied."""
    values = dataclasses.asdict(experiment)

    def look_up(path):
        value = values
        for part in path.split("."):
            value = value[part]
        return value

    return "\n".join(f"--config.{p}={look_up(p)}" for p, _ in records.paths(experiment))
