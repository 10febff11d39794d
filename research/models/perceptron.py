"""The perceptron: a single layer of neurons."""

from research.models import base
from research.records import record


@record
class Perceptron(base.Activated):
    """φ(w·x + b) for every output, and nothing hidden (Rosenblatt 1958).

    Its boundaries are straight lines under a monotonous φ, so that it can't
    solve XOR (Minsky & Papert 1969); under "gcu" or "ada" one neuron can.
    """

    name: str = "perceptron"
    activation: str = "identity"

    def forward(self, x, *, num_classes, train):
        import jax.numpy as jnp
        from flax import linen as nn

        from research.models import layers
        from research.models.product import dot_general

        x = nn.Dense(
            num_classes,
            kernel_init=layers.initializer(self.initializer, self.activation),
            dtype=jnp.dtype(self.compute_dtype),
            dot_general=dot_general,
            name="logits",
        )(x.reshape(x.shape[0], -1))
        return layers.activate(self, x, name="logits")
