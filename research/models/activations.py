"""Activation functions by name: one function and one line of `ACTIVATIONS` each."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from research.records import require_known

if TYPE_CHECKING:
    import jax


class Activation(NamedTuple):
    """An element-wise function, and what fits it.

    Attributes:
      function: z -> activation, of any shape and float dtype. A learned one is
        called inside a compact Flax module as function(z, name=…), where `name`
        is that of its parameters.
      initializer: the entry of INITIALIZERS that "auto" stands for in weights
        before it.
      learned: whether it has parameters of its own.
      trains: whether its gradient lets the weights before it learn.
    """

    function: Callable[..., "jax.Array"]
    initializer: str
    learned: bool = False
    trains: bool = True


def identity(z):
    """The function itself: no activation."""
    return z


def step(z):
    """1 where z > 0, else 0 (McCulloch & Pitts 1943); its gradient is 0 everywhere."""
    return (z > 0).astype(z.dtype)


def gcu(z):
    """z·cos z, the growing cosine unit (arXiv:2108.12943): one neuron has many boundaries."""
    import jax.numpy as jnp

    return z * jnp.cos(z)


def ada(z, alpha=1.0, c=1.0):
    """max(0, z)·exp(−αz + c), dendritic activation (arXiv:2003.03229): 0, up to 1, down to 0."""
    import jax.numpy as jnp

    # Negative z is cut off first: its exponential might overflow, and ∞·0 is no number.
    rectified = jnp.maximum(z, 0)
    return rectified * jnp.exp(c - alpha * rectified)


def prelu(z, name):
    """max(0, z) + a·min(0, z) with one learned slope a, at first 0.25 (arXiv:1502.01852)."""
    from flax import linen as nn

    return nn.PReLU(negative_slope_init=0.25, name=name)(z)


def _linen(name: str) -> Callable[["jax.Array"], "jax.Array"]:
    def function(z):
        from flax import linen as nn

        return getattr(nn, name)(z)

    return function


ACTIVATIONS = {
    "identity": Activation(identity, "lecun_normal"),
    "step": Activation(step, "lecun_normal", trains=False),
    "sigmoid": Activation(_linen("sigmoid"), "glorot_normal"),
    "tanh": Activation(_linen("tanh"), "glorot_normal"),
    "relu": Activation(_linen("relu"), "he_normal"),
    "leaky_relu": Activation(_linen("leaky_relu"), "he_normal"),
    "prelu": Activation(prelu, "he_normal", learned=True),
    "elu": Activation(_linen("elu"), "he_normal"),
    "gelu": Activation(_linen("gelu"), "he_normal"),
    "silu": Activation(_linen("silu"), "he_normal"),
    # From layer to layer the variance of z settles, at 1/4 and at 0.2.
    "gcu": Activation(gcu, "he_normal"),
    "ada": Activation(ada, "lecun_normal"),
}
"""Initialisers: He et al. 2015 (arXiv:1502.01852) before rectifiers, Glorot &
Bengio 2010 before saturating functions, LeCun et al. 1998 before none."""


def check_activation(name: str, path: str) -> None:
    """Raises `UserError` unless `name` is a known activation."""
    require_known(name, ACTIVATIONS, path)


def warnings(name: str, path: str) -> list[str]:
    """Returns why gradient descent can't train through the activation, if so."""
    if ACTIVATIONS[name].trains:
        return []
    why = f"the gradient of {name!r} is 0 everywhere; gradient descent trains nothing before it"
    return [f"{path}: {why}"]
