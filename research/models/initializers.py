"""Weight initialisers by name: a line of `INITIALIZERS` each."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from research.models.activations import ACTIVATIONS
from research.records import require_known

if TYPE_CHECKING:
    from jax.nn.initializers import Initializer


def _scaled(scale: float, mode: str, distribution: str) -> Callable[[], "Initializer"]:
    """Variance scale/n, where n is the number of inputs or the mean of inputs and outputs."""

    def build():
        from jax.nn.initializers import variance_scaling

        return variance_scaling(scale, mode, distribution)

    return build


def _orthogonal():
    from jax.nn.initializers import orthogonal

    return orthogonal()


def _standard_normal():
    from jax.nn.initializers import normal

    return normal(1.0)


def _dirac():
    import jax.numpy as jnp
    from jax.nn.initializers import variance_scaling

    others = variance_scaling(1 / 3, "fan_in", "uniform")

    def draw(key, shape, dtype=jnp.float32, **options):
        *window, inputs, outputs = shape
        handed_on = jnp.arange(min(inputs, outputs))
        # Where the padding of research.models.layers.convolve has the pixel itself.
        middle = tuple((size - 1) // 2 for size in window)
        kernel = others(key, shape, dtype, **options).at[..., handed_on].set(0)
        return kernel.at[(*middle, handed_on, handed_on)].set(1)

    return draw


def _zeros():
    from jax.nn.initializers import zeros

    return zeros


INITIALIZERS = {
    "lecun_normal": _scaled(1.0, "fan_in", "truncated_normal"),
    "lecun_uniform": _scaled(1.0, "fan_in", "uniform"),
    "lecun_gaussian": _scaled(1.0, "fan_in", "normal"),
    "glorot_normal": _scaled(1.0, "fan_avg", "truncated_normal"),
    "glorot_uniform": _scaled(1.0, "fan_avg", "uniform"),
    "glorot_gaussian": _scaled(1.0, "fan_avg", "normal"),
    "he_normal": _scaled(2.0, "fan_in", "truncated_normal"),
    "he_uniform": _scaled(2.0, "fan_in", "uniform"),
    "he_gaussian": _scaled(2.0, "fan_in", "normal"),
    "orthogonal": _orthogonal,
    "dirac": _dirac,
    "standard_normal": _standard_normal,
    "zeros": _zeros,
}
"""LeCun et al. 1998 (sd √(1/n), which course notes often call Xavier), Glorot &
Bengio 2010 (Xavier, sd √(2/(inputs + outputs))), He et al. 2015 (sd √(2/n)) and
Saxe et al. 2014 (orthogonal). The normal ones are truncated at two standard
deviations, the Gaussian ones are not. "dirac" hands the inputs on as the first
outputs (Zagoruyko & Komodakis 2017, arXiv:1706.00388), and the others are uniform
of variance 1/(3n). A standard deviation of 1 and zeros show what the others are
for."""


def initializer(name: str, activation: str) -> "Initializer":
    """Returns a weight initialiser `(key, shape, dtype) -> array`.

    Args:
      name: an entry of INITIALIZERS, or "auto" for the one that fits.
      activation: the entry of ACTIVATIONS that follows the weights.
    """
    return INITIALIZERS[ACTIVATIONS[activation].initializer if name == "auto" else name]()


def check_initializer(name: str, path: str) -> None:
    """Raises `UserError` unless `name` is "auto" or a known initialiser."""
    require_known(name, ("auto", *INITIALIZERS), path)


def warnings(name: str, path: str) -> list[str]:
    """Returns why hidden layers that start with these weights stay alike, if so."""
    if name != "zeros":
        return []
    return [f"{path}: units of a hidden layer that start at 'zeros' stay equal to each other"]
