"""Typed records: the values that an experiment is made of.

A record is a dataclass whose fields are booleans, numbers, strings, tuples of
them (of any length, or pairs), or other records. Records start out mutable,
because command-line flags override their fields; `check` then verifies every
type and rule once, and `freeze` makes them immutable. A field declared with
`choice` holds a *component*: one of several record classes, told apart by their
`name` field.

Annotations are evaluated at import (no `from __future__ import annotations` in
files that define records): flags and JSON are typed by them.
"""

import dataclasses
import math
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from research.errors import UserError, listing, suggestion

record = dataclasses.dataclass(kw_only=True)
"""Decorator for record classes: a dataclass with keyword-only fields."""


@record
class Record:
    """Base class of records; see the module's docstring."""

    def validate(self, path: str) -> None:
        """Raises `UserError` if a rule of this record is broken.

        Called by `check` after the types of all fields are known to be right.
        `path` is where the record stands in the experiment, for messages.
        """

    def warnings(self, path: str) -> list[str]:
        """Returns what is allowed but hardly meant, as lines "path.field: why"."""
        return []

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__dict__.get("_frozen"):
            raise dataclasses.FrozenInstanceError(
                f"cannot assign {name!r}: the experiment is frozen; "
                "use dataclasses.replace to make a changed copy"
            )
        object.__setattr__(self, name, value)


def table(base: type["Record"], names: Mapping[str, Any]) -> dict[str, type]:
    """Returns name -> class of the components among a module's names.

    Components are the subclasses of `base` whose `name` field has a default;
    importing one into the module whose `globals()` is given adds it.

    Raises:
      TypeError: if two components have the same name.
    """
    classes = [c for c in names.values() if isinstance(c, type) and issubclass(c, base)]
    found: dict[str, type] = {}
    for cls in classes:
        if hasattr(cls, "name") and found.setdefault(cls.name, cls) is not cls:
            raise TypeError(f"{found[cls.name].__name__} and {cls.__name__} are both {cls.name!r}")
    return found


def choice(table: Mapping[str, type], default: str, otherwise: type | None = None):
    """Returns a field that holds a component of `table`.

    Args:
      table: component name -> record class with a `name` field.
      default: the name of the component used when none is given.
      otherwise: the class for names that the table does not list; None makes
        them errors.
    """
    return dataclasses.field(
        default_factory=lambda: table[default](),
        metadata={"table": table, "otherwise": otherwise},
    )


def is_on(value: Any) -> bool:
    """Whether an option is on that is off at 0; what a program takes as an argument is."""
    return not isinstance(value, int | float) or value != 0


def require(condition: bool, path: str, message: str) -> None:
    """Raises `UserError("path: message")` unless the condition holds."""
    if not condition:
        raise UserError(f"{path}: {message}")


def require_known(name: Any, known: Iterable[str], path: str) -> None:
    """Raises `UserError` with the nearest and all known names unless `name` is one."""
    known = tuple(known)
    require(
        name in known,
        path,
        f"unknown name {name!r}.{suggestion(str(name), known)}\nKnown names: {listing(known)}",
    )


def component_class(field: dataclasses.Field, name: Any, path: str) -> type:
    """Returns the record class that `name` selects for a `choice` field."""
    table, otherwise = field.metadata["table"], field.metadata["otherwise"]
    if otherwise is None or not isinstance(name, str) or not name:
        require_known(name, table, f"{path}.name")
    return table.get(name, otherwise)


def choose(owner: Record, field_name: str, name: str, path: str) -> None:
    """Replaces the component in `owner.field_name` by the one called `name`.

    Fields that both components have keep their values; the others take the
    defaults of the new component. Nothing happens if it is chosen already.
    """
    field = next(f for f in dataclasses.fields(owner) if f.name == field_name)
    chosen = component_class(field, name, path)
    current = getattr(owner, field_name)
    if type(current) is chosen:
        current.name = name
        return
    untouched = type(current)(name=current.name)
    known = {f.name for f in dataclasses.fields(chosen)}
    shared = {
        f.name: getattr(current, f.name)
        for f in dataclasses.fields(current)
        # A value that is merely the old component's default must not displace
        # the new component's own default.
        if f.name in known - {"name"} and getattr(current, f.name) != getattr(untouched, f.name)
    }
    setattr(owner, field_name, chosen(name=name, **shared))


def check(record: Record, path: str = "config") -> None:
    """Verifies types and rules of a record and of all records within.

    Whole numbers given for float fields become floats and lists given for
    tuples become tuples; nothing else is converted.

    Raises:
      UserError: naming the field, what it holds and what it takes.
    """
    for field in dataclasses.fields(record):
        where = f"{path}.{field.name}"
        value = _conform(getattr(record, field.name), field.type, where)
        object.__setattr__(record, field.name, value)
        if isinstance(value, Record):
            if "table" in field.metadata:
                expected = component_class(field, value.name, where)
                if type(value) is not expected:
                    raise UserError(
                        f"{where}: the name {value.name!r} belongs to "
                        f"{expected.__name__}, but the options are those of "
                        f"{type(value).__name__}"
                    )
            check(value, where)
    record.validate(path)


def warnings(record: Record, path: str = "config") -> list[str]:
    """Returns the warnings of a checked record and of all records within."""
    found = record.warnings(path)
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, Record):
            found += warnings(value, f"{path}.{field.name}")
    return found


def freeze(record: Record) -> None:
    """Makes a record and all records within immutable."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, Record):
            freeze(value)
    object.__setattr__(record, "_frozen", True)


def paths(record: Record, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field]]:
    """Yields (dotted path, field) of every field that is not a record."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, Record):
            yield from paths(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", field


def components(record: Record, prefix: str = "") -> Iterator[tuple[str, Record, str]]:
    """Yields (dotted path, owner, field name) of every `choice` field within."""
    for field in dataclasses.fields(record):
        if "table" in field.metadata:
            yield f"{prefix}{field.name}", record, field.name
        value = getattr(record, field.name)
        if isinstance(value, Record):
            yield from components(value, f"{prefix}{field.name}.")


def from_dict(cls: type[Record], values: Any, path: str = "config") -> Self:
    """Builds a record from the nested dictionary that `dataclasses.asdict` made.

    Fields that are absent take their defaults, so that files written by an
    older version stay readable.

    Raises:
      UserError: if a key is unknown, a value has the wrong type or a field that
        has no default is absent.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{path}: expected an object with fields, found {values!r}")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    arguments = {}
    for key, value in values.items():
        where = f"{path}.{key}"
        if key not in fields:
            raise UserError(f"{where}: unknown field.{suggestion(key, fields)}")
        field = fields[key]
        if "table" in field.metadata:
            name = value.get("name") if isinstance(value, Mapping) else value
            value = from_dict(component_class(field, name, where), value, where)
        elif isinstance(field.type, type) and issubclass(field.type, Record):
            value = from_dict(field.type, value, where)
        arguments[key] = value
    for key, field in fields.items():
        has_default = (field.default, field.default_factory) != (dataclasses.MISSING,) * 2
        require(key in arguments or has_default, f"{path}.{key}", "is missing")
    result = cls(**arguments)
    check(result, path)
    return result


def difference(old: Record, new: Record) -> list[str]:
    """Returns one line "path: old -> new" for each field that differs."""
    before = {path: _get(old, path) for path, _ in paths(old)}
    after = {path: _get(new, path) for path, _ in paths(new)}

    def shown(values, path):
        return repr(values[path]) if path in values else "(absent)"

    return [
        f"{path}: {shown(before, path)} -> {shown(after, path)}"
        for path in dict.fromkeys([*before, *after])
        # No field holds None, so that an absent one differs from every value.
        if before.get(path) != after.get(path)
    ]


def type_name(annotation: Any) -> str:
    """Returns how a field's type is called in messages."""
    if typing.get_origin(annotation) is tuple:
        singular, _, rest = _plural(annotation).partition("s ")
        return f"a {singular} {rest} such as {_sample(annotation)}"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names.get(annotation) or getattr(annotation, "__name__", str(annotation))


def _plural(annotation: Any) -> str:
    if typing.get_origin(annotation) is tuple:
        first, second = typing.get_args(annotation)
        if second is not ...:
            return f"pairs of {_plural(first)} and {_plural(second)}"
        return f"tuples of {_plural(first)}"
    return {int: "whole numbers", float: "numbers", str: "texts"}.get(annotation, str(annotation))


def _sample(annotation: Any) -> str:
    if typing.get_origin(annotation) is tuple:
        first, second = typing.get_args(annotation)
        return f"({_sample(first)},{'' if second is ... else ' ' + _sample(second)})"
    return {int: "32", float: "0.5", str: "'a'"}.get(annotation, "…")


def _get(record: Record, path: str) -> Any:
    for part in path.split("."):
        record = getattr(record, part)
    return record


def _conform(value: Any, annotation: Any, path: str) -> Any:
    wrong = UserError(f"{path}: takes {type_name(annotation)}, not {value!r}")
    if typing.get_origin(annotation) is tuple:
        if not isinstance(value, (tuple, list)):
            raise wrong
        first, second = typing.get_args(annotation)
        if second is not ... and len(value) != 2:
            raise wrong
        types = [first] * len(value) if second is ... else [first, second]
        parts = enumerate(zip(value, types, strict=True))
        return tuple(_conform(item, type_, f"{path}[{i}]") for i, (item, type_) in parts)
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if annotation is int and isinstance(value, bool) or not isinstance(value, annotation):
        raise wrong
    if annotation is float and not math.isfinite(value):
        raise UserError(f"{path}: takes a finite number, not {value!r}")
    return value
