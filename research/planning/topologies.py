"""Names of slices: "v5e:2x4" -> a chip and a shape. Nothing slow is imported."""

import dataclasses
import functools
import itertools
import math
import re

from research.errors import UserError, suggestion
from research.planning.chips import CHIPS, Chip

_CUBE = 4
"""Edge of the cubes that larger slices of 3-dimensional pods are made of."""

_BELOW_A_CUBE = ("2x2x1", "2x2x2", "2x2x4", "2x4x4")


@dataclasses.dataclass(frozen=True)
class Topology:
    """A slice.

    Attributes:
      chip: what it is made of.
      shape: chips along each dimension.
    """

    chip: Chip
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """Such as "v5e:2x4"."""
        return f"{self.chip.name}:{'x'.join(map(str, self.shape))}"

    @property
    def num_chips(self) -> int:
        """How many chips it has."""
        return math.prod(self.shape)

    @property
    def num_devices(self) -> int:
        """How many devices JAX shows."""
        return self.num_chips * self.chip.devices

    def is_ring(self, dimension: int) -> bool:
        """Whether the last chip along a dimension is linked to the first.

        Pods of two dimensions have such links along whole edges of 16, those of
        three where all dimensions are multiples of 4 (scaling book, part 2).
        """
        if len(self.shape) == 2:
            return self.shape[dimension] == 16
        return all(size % _CUBE == 0 for size in self.shape)


def parse_topologies(text: str) -> tuple[Topology, ...]:
    """Returns the slices of a list such as "v5e:2x4,v6e:2x4".

    Raises:
      UserError: if one isn't on offer, with the names of those that are.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UserError(f"--topology: give one or more slices, such as v5e:2x4.\n{known_names()}")
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"--topology: {name} is given twice")
    return tuple(map(_parse, names))


def known_names() -> str:
    """Returns which slices there are, a line for each chip."""
    lines = ["Slices on offer:"]
    for chip in CHIPS.values():
        shapes = chip.shapes or _BELOW_A_CUBE
        rule = (
            ""
            if chip.shapes
            else (
                f", and a ≤ b ≤ c in multiples of {_CUBE} from 4x4x4 to "
                f"{'x'.join(map(str, chip.largest))}"
            )
        )
        lines.append(f"  {chip.name}: {', '.join(shapes)}{rule}")
    return "\n".join(lines)


def _parse(name: str) -> Topology:
    match = re.fullmatch(r"(\w+):(\d+(?:x\d+)+)", name)
    chip = CHIPS.get(match[1]) if match else None
    if chip is None or not _is_offered(chip, match[2]):
        near = suggestion(name, _examples())
        raise UserError(f"--topology: there is no slice {name!r}.{near}\n{known_names()}")
    return Topology(chip, tuple(map(int, match[2].split("x"))))


def _is_offered(chip: Chip, shape: str) -> bool:
    if chip.shapes:
        return shape in chip.shapes
    if shape in _BELOW_A_CUBE:
        return True
    sizes = [int(size) for size in shape.split("x")]
    return (
        len(sizes) == 3
        and sizes == sorted(sizes)
        and all(
            size and size % _CUBE == 0 and size <= most
            for size, most in zip(sizes, chip.largest, strict=True)
        )
    )


@functools.cache
def _examples() -> tuple[str, ...]:
    cubes = ["x".join(map(str, s)) for s in itertools.product((4, 8, 16), repeat=3)]
    return tuple(
        f"{chip.name}:{shape}"
        for chip in CHIPS.values()
        for shape in (chip.shapes or (*_BELOW_A_CUBE, *cubes))
        if _is_offered(chip, shape)
    )
