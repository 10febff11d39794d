"""The options of augmentation: which, and how strong."""

import dataclasses

from research.augmentation.policies import POLICIES, Policy
from research.errors import UserError
from research.records import Record, choice, record, require

MIXING = ("mixup", "cutmix")
COLOUR = ("saturation", "hue")

TTA = ("none", "flip", "flip_shift")
"""Names of the sets of views in `research.augmentation.views`."""


@record
class Augmentation(Record):
    """What is done to the images of a training batch, in the order of the fields.

    A field is the strength of the function of its name in
    `research.augmentation.images` or `mixing`; 0 or false leaves it out. Each
    example draws for itself. Pixels that come in from outside are black.
    """

    crop: int = 0
    """Images are padded by so many pixels, and a window of their size is cut out."""

    flip: bool = False
    """Half of the images are mirrored, left to right."""

    policy: Policy = choice(POLICIES, "none")

    brightness: float = 0.0
    """b: pixels are multiplied by a factor from [1−b, 1+b]."""

    contrast: float = 0.0
    """c: distances from each channel's mean are, by one from [1−c, 1+c]."""

    saturation: float = 0.0
    """s: distances from the grey image are, by one from [1−s, 1+s]."""

    hue: float = 0.0
    """h: hues are turned by an angle from [−h, h], 1 being the whole circle."""

    cutout: int = 0
    """Side, in pixels, of a square that is blackened; it may reach over the border."""

    mixup: float = 0.0
    """α of the Beta distribution of λ, with which two examples are averaged."""

    cutmix: float = 0.0
    """α of the Beta distribution of 1 − the area pasted in from another example.
    Beside `mixup`, each example draws one of the two."""

    def chosen(self) -> list[str]:
        """Returns the names of the fields that are not left out, in their order."""
        off = Augmentation()
        names = [field.name for field in dataclasses.fields(self)]
        return [name for name in names if getattr(self, name) != getattr(off, name)]

    def mixing(self) -> list[str]:
        """Returns those of the chosen ones that put two examples together."""
        return [name for name in self.chosen() if name in MIXING]

    def check_input(self, shape: tuple[int, ...]) -> None:
        """Raises `UserError` if inputs of this shape can't be augmented so."""
        chosen = self.chosen()
        if not chosen:
            return
        check_images(shape, f"config.augmentation.{chosen[0]}")
        height, width, channels = shape
        for name in ("crop", "cutout"):
            require(
                getattr(self, name) <= min(height, width),
                f"config.augmentation.{name}",
                f"{getattr(self, name)} pixels are more than images of {height}×{width} have",
            )
        for name in COLOUR:
            require(
                channels == 3 or name not in chosen,
                f"config.augmentation.{name}",
                f"needs colour images; these have {channels} channel{'s' * (channels > 1)}",
            )

    def validate(self, path):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type in (int, float):
                require(value >= 0, f"{path}.{field.name}", f"must not be negative, not {value}")
        for name, most in {"brightness": 1, "contrast": 1, "saturation": 1, "hue": 0.5}.items():
            value = getattr(self, name)
            require(value <= most, f"{path}.{name}", f"must lie in [0, {most}], not {value}")


def check_images(shape: tuple[int, ...], path: str) -> None:
    """Raises `UserError` unless inputs are images, (height, width, channels)."""
    if len(shape) != 3:
        raise UserError(
            f"{path}: acts on images (height, width, channels); these inputs have the shape {shape}"
        )
