"""What a diagnosis consists of."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that was found about the machine.

    Attributes:
      topic: what it is about, one word.
      message: what was found.
      remedy: what mends it, in one line; "" if nothing has to be mended.
    """

    topic: str
    message: str
    remedy: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether there is something to mend."""
        return bool(self.remedy)


def size(count: float) -> str:
    """Returns a number of bytes in the unit that suits it."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in ("B", "kB") else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
