"""Groups of parameters: patterns over their paths, such as "conv_0_0/kernel"."""

import re
from collections.abc import Mapping, Sequence

from research.errors import UserError, suggestion
from research.records import require

SHOWN = 20
"""How many paths a message lists at most."""


def found(pattern: str, path: str) -> bool:
    """Whether a regular expression is found in a path."""
    return re.search(pattern, path) is not None


def check_pattern(pattern: str, field: str) -> None:
    """Raises `UserError` unless the text is a regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise UserError(f"{field}: {pattern!r} is no regular expression: {error}") from error


def check_found(patterns: Mapping[str, str], paths: Sequence[str]) -> None:
    """Raises `UserError` if a pattern (field -> pattern) is found in none of the paths."""
    for field, pattern in patterns.items():
        more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
        require(
            any(found(pattern, path) for path in paths),
            field,
            f"{pattern!r} is found in no parameter's path.{suggestion(pattern, paths)}\n"
            f"Parameters: {', '.join(paths[:SHOWN])}{more}",
        )
