"""Policies: which operations an image is put through, and how strongly."""

import re
from typing import TYPE_CHECKING, NamedTuple

from research.errors import UserError
from research.records import Record, record, require, require_known, table

if TYPE_CHECKING:
    import jax

GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
COMMON = ("identity", "auto_contrast", "equalize", "solarize", "posterize")
COMMON += ("contrast", "saturation", "brightness", "sharpness", *GEOMETRIC)
"""The 14 operations that RandAugment and TrivialAugment draw from."""

OPERATIONS = (*COMMON, "invert", "cutout")


@record
class Policy(Record):
    """Options of a policy; a subclass adds its own and defines `apply`."""

    name: str

    def apply(self, key: "jax.Array", image: "jax.Array") -> "jax.Array":
        """Returns the image after the operations drawn for it.

        Args:
          key: PRNG key of the image.
          image: float32 [height, width, channels] in [0, 1]; so is the result.
        """
        raise TypeError(f"{type(self).__name__} defines no way to apply it")


@record
class NoPolicy(Policy):
    """Leaves images as they are."""

    name: str = "none"

    def apply(self, key, image):
        return image


@record
class RandAugment(Policy):
    """A few operations, drawn uniformly, all of one magnitude (arXiv:1909.13719)."""

    name: str = "rand_augment"

    layers: int = 2
    """N: how many operations, one after the other."""

    magnitude: float = 0.3
    """M, as a share of the largest one; signs are drawn."""

    def draw(self, key: "jax.Array") -> tuple["jax.Array", "jax.Array"]:
        """Returns (operation, strength) of each layer: positions in COMMON and float32."""
        import jax

        for_operation, for_sign = jax.random.split(key)
        operation = jax.random.randint(for_operation, (self.layers,), 0, len(COMMON))
        return operation, self.magnitude * jax.random.rademacher(for_sign, (self.layers,), float)

    def apply(self, key, image):
        import jax

        from research.augmentation.operations import operate

        for_draw, *keys = jax.random.split(key, 1 + self.layers)
        for key, operation, strength in zip(keys, *self.draw(for_draw), strict=True):
            image = operate(COMMON, operation, strength, key, image)
        return image

    def validate(self, path):
        require(self.layers >= 1, f"{path}.layers", "must be at least 1")
        _check_share(self.magnitude, f"{path}.magnitude")


@record
class TrivialAugment(Policy):
    """One operation and its magnitude, both drawn uniformly (arXiv:2103.10158).

    Ranges are the paper's wide ones, of which 31 magnitudes are drawn.
    """

    name: str = "trivial_augment"

    def draw(self, key: "jax.Array") -> tuple["jax.Array", "jax.Array"]:
        """Returns the operation, a position in COMMON, and its strength, float32."""
        import jax

        for_operation, for_magnitude, for_sign = jax.random.split(key, 3)
        magnitude = jax.random.randint(for_magnitude, (), 0, 31) / 30
        sign = jax.random.rademacher(for_sign, (), float)
        return jax.random.randint(for_operation, (), 0, len(COMMON)), magnitude * sign

    def apply(self, key, image):
        import jax

        from research.augmentation.operations import operate

        for_draw, for_operation = jax.random.split(key)
        operation, strength = self.draw(for_draw)
        return operate(COMMON, operation, strength, for_operation, image, wide=True)


class Part(NamedTuple):
    """An operation of a sub-policy, how probable and how strong it is."""

    operation: str
    probability: float
    strength: float


@record
class FastAutoAugment(Policy):
    """A sub-policy drawn uniformly, whose operations each come with its own probability.

    Lim et al. 2019 (arXiv:1905.00397) search for the policy; here one that was
    found is applied, and has to be given. Directions of geometric operations are
    drawn.
    """

    name: str = "fast_autoaugment"

    sub_policies: tuple[str, ...] = ()
    """Each "OPERATION PROBABILITY STRENGTH", one or several, joined by ";"."""

    def parts(self) -> list[list[Part]]:
        """Returns the sub-policies, read."""
        return [_read(text, f"sub_policies[{i}]") for i, text in enumerate(self.sub_policies)]

    def apply(self, key, image):
        import jax
        import jax.numpy as jnp

        from research.augmentation.operations import operate

        parts = self.parts()
        longest = max(map(len, parts))
        rest = Part("identity", 0.0, 0.0)
        padded = [[*sub_policy, *[rest] * (longest - len(sub_policy))] for sub_policy in parts]
        index = jnp.array([[OPERATIONS.index(p.operation) for p in row] for row in padded])
        probability = jnp.array([[p.probability for p in row] for row in padded])
        strength = jnp.array([[p.strength for p in row] for row in padded])
        directed = jnp.array([operation not in GEOMETRIC for operation in OPERATIONS])

        for_choice, *keys = jax.random.split(key, 1 + longest)
        chosen = jax.random.randint(for_choice, (), 0, len(padded))
        for place, part_key in enumerate(keys):
            for_happening, for_sign, for_operation = jax.random.split(part_key, 3)
            operation = index[chosen, place]
            happens = jax.random.bernoulli(for_happening, probability[chosen, place])
            sign = jax.random.rademacher(for_sign, (), float)
            amount = strength[chosen, place] * jnp.where(directed[operation], 1, sign) * happens
            image = operate(OPERATIONS, operation, amount, for_operation, image)
        return image

    def validate(self, path):
        require(
            bool(self.sub_policies),
            f"{path}.sub_policies",
            "needs at least one, as a search found them, such as 'rotate 0.5 0.4; cutout 0.7 0.5'",
        )
        for index, text in enumerate(self.sub_policies):
            _read(text, f"{path}.sub_policies[{index}]")


def _read(text: str, path: str) -> list[Part]:
    """Reads a sub-policy, such as "rotate 0.9 0.4; cutout 0.5 1"."""
    parts = []
    for part in text.split(";"):
        operation, *numbers = part.split() or [""]
        require_known(operation, OPERATIONS, path)
        if len(numbers) != 2 or not all(re.fullmatch(r"-?\d*\.?\d+", n) for n in numbers):
            raise UserError(f"{path}: takes 'OPERATION PROBABILITY STRENGTH', not {part.strip()!r}")
        probability, strength = map(float, numbers)
        _check_share(probability, path)
        require(abs(strength) <= 1, path, f"strengths lie in [-1, 1], not {strength}")
        parts.append(Part(operation, probability, strength))
    return parts


def _check_share(share: float, path: str) -> None:
    require(0 <= share <= 1, path, f"must lie in [0, 1], not {share}")


POLICIES = table(Policy, globals())
