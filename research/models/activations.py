"""Activation functions and initialisers by name, and which fits which."""

from collections.abc import Callable

from research.records import require_known

RECTIFIERS = ("relu", "leaky_relu", "elu", "gelu", "silu")
SATURATING = ("sigmoid", "tanh")
LINEAR = ("identity",)
ACTIVATIONS = RECTIFIERS + SATURATING + LINEAR

INITIALIZERS = (
    "he_normal",
    "he_uniform",
    "glorot_normal",
    "glorot_uniform",
    "lecun_normal",
    "lecun_uniform",
)


def activation(name: str) -> Callable:
    """Returns the element-wise function called `name`, an entry of ACTIVATIONS."""
    from flax import linen as nn

    return (lambda x: x) if name == "identity" else getattr(nn, name)


def initializer(name: str, activation_name: str) -> Callable:
    """Returns a weight initialiser `(key, shape, dtype) -> array`.

    Args:
      name: an entry of INITIALIZERS, or "auto": He et al. 2015
        (arXiv:1502.01852) before rectifiers, Glorot & Bengio 2010 before
        saturating functions, LeCun et al. 1998 before none.
      activation_name: the activation that follows the weights.
    """
    import jax

    if name == "auto":
        if activation_name in RECTIFIERS:
            name = "he_normal"
        elif activation_name in SATURATING:
            name = "glorot_normal"
        else:
            name = "lecun_normal"
    return getattr(jax.nn.initializers, name)()


def check_activation(name: str, path: str) -> None:
    """Raises `UserError` unless `name` is a known activation."""
    require_known(name, ACTIVATIONS, path)


def check_initializer(name: str, path: str) -> None:
    """Raises `UserError` unless `name` is "auto" or a known initialiser."""
    require_known(name, ("auto", *INITIALIZERS), path)
