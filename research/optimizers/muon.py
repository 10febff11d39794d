"""Muon."""

from research.optimizers.base import Optimizer, check_decays, check_positive
from research.records import record, require


@record
class Muon(Optimizer):
    """Hidden layers move along the nearest orthogonal matrix to their momentum.

    Each kernel is a matrix, inputs × outputs (a convolution's height, width and
    channels being its inputs); five steps of a Newton–Schulz iteration bring all
    singular values near 1, and √max(1, outputs/inputs) scales the result (Jordan
    et al. 2024, kellerjordan.github.io/posts/muon). What is no hidden kernel, such
    as biases and the layer of logits, moves by Adam.
    """

    name: str = "muon"
    learning_rate: float = 0.02

    momentum: float = 0.95
    nesterov: bool = True

    adam_factor: float = 0.1
    """Adam's learning rate as a share of `learning_rate`."""

    def direction(self):
        import optax

        muon = optax.contrib.scale_by_muon(
            beta=self.momentum, nesterov=self.nesterov, weight_dimension_numbers=_axes
        )
        parts = {
            "muon": optax.chain(muon, optax.stateless(_scale_by_shape)),
            "adam": optax.chain(optax.scale_by_adam(), optax.scale(self.adam_factor)),
        }
        return optax.partition(parts, _hidden_kernels_by_muon)

    def validate(self, path):
        super().validate(path)
        check_decays(self, ("momentum",), path)
        check_positive(self, ("adam_factor",), path)
        require(not self.l2, f"{path}.l2", "would be made orthogonal; use weight_decay")


def _hidden_kernels_by_muon(params):
    import jax

    def part(path, leaf):
        return "muon" if leaf.ndim >= 2 and path[0].key != "logits" else "adam"

    return jax.tree_util.tree_map_with_path(part, params)


def _axes(kernels):
    import jax
    from optax.contrib import MuonDimensionNumbers

    return jax.tree.map(
        lambda leaf: MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1), kernels
    )


def _scale_by_shape(updates, _):
    import jax

    def scale(update):
        outputs = update.shape[-1]
        inputs = update.size // outputs
        return max(1.0, outputs / inputs) ** 0.5 * update

    return jax.tree.map(scale, updates)
