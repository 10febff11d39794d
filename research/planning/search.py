"""The largest batch that fits, found with few compilations."""

import dataclasses
from collections.abc import Callable

from research.planning.compiler import DoesNotFit

MOST_COMPILATIONS = 32

_PARTS = 16
"""Sizes are multiples of a power of two, at least a 32nd and at most a 16th of them."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What a search ended with.

    Attributes:
      fits: the largest size that was compiled, 0 if none fits.
      does_not_fit: the smallest that the compiler refused, None if it refused none.
      compilations: how many programs were compiled.
    """

    fits: int
    does_not_fit: int | None
    compilations: int


def largest(
    memory_of: Callable[[int], float], available: float, fixed: float, start: int, limit: int
) -> Found:
    """Returns the largest size whose program fits, to within a 16th.

    Memory grows nearly linearly with the batch, so that the next size to try is
    where the line through the two nearest known ones meets the limit; between
    the largest that fits and the smallest that doesn't, whichever way it errs.
    The compiler refuses in a moment and accepts after a long time: errors on
    the far side cost little.

    Args:
      memory_of: size -> bytes that its program takes; raises `DoesNotFit`.
      available: bytes that a device has.
      fixed: bytes that a program takes whatever the size.
      start: the first size to try, at least 1.
      limit: the largest size that makes sense.
    """
    known = {0: fixed}  # size -> bytes
    fits, refused, compilations = 0, None, 0
    size = min(start, limit)
    while compilations < MOST_COMPILATIONS:
        compilations += 1
        try:
            known[size] = memory_of(size)
            fits = size
        except DoesNotFit as error:
            refused = size
            if error.required is not None:
                known[size] = error.required
        if fits == limit or refused == 1:
            break
        if refused is not None and refused - fits <= _grain(fits):
            break
        size = _next(known, available, fits, refused, limit)
    return Found(fits, refused, compilations)


def _next(
    known: dict[int, float], available: float, fits: int, refused: int | None, limit: int
) -> int:
    """Returns the size to try: more than `fits`, less than `refused`."""
    lowest = fits + _grain(fits)
    highest = limit if refused is None else refused - _grain(fits)
    if refused is not None and refused not in known:
        guess = (fits + refused) / 2
    else:
        one, other = sorted(known, key=lambda size: abs(known[size] - available))[:2]
        growth = (known[other] - known[one]) / (other - one)
        guess = one + (available - known[one]) / growth if growth > 0 else highest
    guess = int(min(max(guess, lowest), highest))
    if refused is None and guess == limit:
        return limit
    return max(lowest, guess // _grain(guess) * _grain(guess))


def _grain(size: int) -> int:
    """Returns the power of two that sizes near this one are multiples of."""
    return 1 << max(0, (size // _PARTS).bit_length() - 1)
