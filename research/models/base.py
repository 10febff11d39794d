"""What every model has in common: its options and the shape of its function."""

from typing import TYPE_CHECKING

from research.models import activations, initializers
from research.records import Record, record, require, require_known

if TYPE_CHECKING:
    import jax
    import numpy as np

    from research.data.splits import Dataset

COMPUTE_DTYPES = ("float32", "bfloat16")


@record
class Model(Record):
    """Options of a model; a subclass adds its own and defines `forward`.

    Model files import JAX and Flax inside their functions: reading an
    experiment must not pay for them.
    """

    name: str

    convolves = False  # whether it takes images, through convolutions

    compute_dtype: str = "float32"
    """Dtype of activations and matrix products; parameters stay float32."""

    rematerialize: bool = False
    """Whether what stands between matrix products and convolutions (BatchNorm,
    activation, dropout) is computed again for the gradient rather than kept:
    less memory, more time (arXiv:1604.06174)."""

    def forward(self, x: "jax.Array", *, num_classes: int, train: bool) -> "jax.Array":
        """Maps normalised inputs to logits.

        Runs inside a compact Flax module, so Flax layers are simply called;
        their parameters belong to the model.

        Args:
          x: float32 [batch, *input_shape].
          num_classes: the number K of logits.
          train: whether dropout is on and BatchNorm uses the batch's statistics;
            give it to these layers when they are called, not when they are made,
            so that freezing and Monte Carlo dropout can decide otherwise.

        Returns:
          Logits [batch, K] in `compute_dtype`.
        """
        raise TypeError(f"{type(self).__name__} defines no forward function")

    def from_data(self, dataset: "Dataset") -> "dict[str, np.ndarray]":
        """Returns the initial parameters that follow from the data, by their paths.

        The others are drawn by their initialisers; for most models these are all.

        Args:
          dataset: gives statistics of train, of inputs that passed `check_input`.
            Where programs are built without the data, all of its inputs are zeros.

        Returns:
          Path, such as "stem/kernel", -> float32 array of the parameter's shape;
          the same whenever the data is.
        """
        del dataset
        return {}

    def check_input(self, input_shape: tuple[int, ...]) -> None:
        """Raises `UserError` if inputs of this shape don't fit.

        Args:
          input_shape: (height, width, channels) of images, (columns,) of tables.
        """

    def validate(self, path):
        require_known(self.compute_dtype, COMPUTE_DTYPES, f"{path}.compute_dtype")


@record
class Activated(Model):
    """Options of a model with one kind of activation."""

    activation: str = "relu"

    initializer: str = "auto"
    """Draws the weights before an activation; "auto" takes what fits it."""

    def validate(self, path):
        super().validate(path)
        activations.check_activation(self.activation, f"{path}.activation")
        initializers.check_initializer(self.initializer, f"{path}.initializer")

    def warnings(self, path):
        return activations.warnings(self.activation, f"{path}.activation")


@record
class Layered(Activated):
    """Options of a model with hidden layers."""

    batch_norm: bool = False
    """Whether BatchNorm stands before every activation (arXiv:1502.03167)."""

    def warnings(self, path):
        return super().warnings(path) + initializers.warnings(
            self.initializer, f"{path}.initializer"
        )


def check_is_image(input_shape: tuple[int, ...], model: str) -> None:
    """Raises `UserError` unless inputs of this shape are images."""
    require(
        len(input_shape) == 3,
        "config.model.name",
        f"{model!r} takes images of (height, width, channels), and each input of the data has "
        f"the shape {input_shape}. Use a model without convolutions, such as 'mlp'",
    )


def check_has_pixels(
    input_shape: tuple[int, int, int], smallest: int, path: str, what: str, remedy: str
) -> None:
    """Raises `UserError` unless images have at least `smallest` rows and columns.

    Args:
      input_shape: (height, width, channels).
      smallest: how many are needed.
      path: the option that needs them.
      what: needs them, for the message.
      remedy: what else can be used.
    """
    height, width, _ = input_shape
    require(
        min(height, width) >= smallest,
        path,
        f"images of {height}×{width} pixels are too small: {what} need at least "
        f"{smallest}×{smallest}. Use {remedy} or a larger config.data.image_size",
    )


def check_rate(rate: float, path: str) -> None:
    """Raises `UserError` unless `rate` is a probability of dropping, in [0, 1)."""
    require(0 <= rate < 1, path, f"must lie in [0, 1), not {rate}")


def check_widths(widths: tuple[int, ...], path: str) -> None:
    """Raises `UserError` unless all widths of layers are positive."""
    require(all(width >= 1 for width in widths), path, f"must be positive, not {widths}")
