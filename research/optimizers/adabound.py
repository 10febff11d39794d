"""AdaBound and AMSBound."""

from typing import TYPE_CHECKING, Any, NamedTuple

from research.optimizers.adam import Adam
from research.optimizers.base import check_positive
from research.records import record, require

if TYPE_CHECKING:
    import jax
    import optax


@record
class AdaBound(Adam):
    """w ← w − clip(η/√v, η_l, η_u)·m: from Adam at first to SGD in the end.

    Both bounds go to `final_learning_rate`, η_l = η*·(1 − 1/(γt + 1)) from 0 and
    η_u = η*·(1 + 1/(γt)) from ∞ (Luo et al. 2019, arXiv:1902.09843). Under a
    schedule they are scaled as η is: algorithm 2 of the paper, word for word, is
    `bias_correction=False` under the schedule "inverse_sqrt".
    """

    name: str = "adabound"

    final_learning_rate: float = 0.1
    """η*."""

    gamma: float = 1e-3
    """How fast the bounds close in, γ."""

    bias_correction: bool = True
    """Whether m and v are corrected for their start at 0 as in Adam, which the
    paper's algorithm doesn't do, but its authors' program does."""

    amsbound: bool = False
    """Whether the largest v so far takes the place of v."""

    def direction(self):
        return scale_by_bounds(self)

    def validate(self, path):
        super().validate(path)
        check_positive(self, ("final_learning_rate", "gamma"), path)
        require(self.b2 > 0, f"{path}.b2", "must be above 0")


@record
class AmsBound(AdaBound):
    """`AdaBound` whose v̂ never falls, as in AMSGrad (Reddi et al. 2018)."""

    name: str = "amsbound"
    amsbound: bool = True


class BoundsState(NamedTuple):
    """State of `scale_by_bounds`: updates made, moments, and the largest v or ()."""

    count: "jax.Array"
    mu: Any
    nu: Any
    largest: Any


def scale_by_bounds(options: AdaBound) -> "optax.GradientTransformation":
    """Returns the direction of AdaBound, which the learning rate η scales."""
    import jax
    import jax.numpy as jnp
    import optax

    b1, b2, rate = options.b1, options.b2, options.learning_rate
    final = options.final_learning_rate / rate

    def init(params):
        def zeros():
            return jax.tree.map(jnp.zeros_like, params)

        count = jnp.zeros((), jnp.int32)
        return BoundsState(count, zeros(), zeros(), zeros() if options.amsbound else ())

    def update(updates, state, params=None):
        del params
        count = state.count + 1
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        nu = largest = optax.tree.update_moment(updates, state.nu, b2, 2)
        if options.amsbound:
            largest = jax.tree.map(jnp.maximum, state.largest, nu)
        scale = 1.0
        if options.bias_correction:
            scale = jnp.sqrt(1 - b2**count) / (1 - b1**count)
        lower = final * (1 - 1 / (options.gamma * count + 1))
        upper = final * (1 + 1 / (options.gamma * count))

        def bounded(m, v):
            return jnp.clip(scale / (jnp.sqrt(v) + options.eps), lower, upper) * m

        direction = jax.tree.map(bounded, mu, largest)
        return direction, BoundsState(count, mu, nu, largest if options.amsbound else ())

    return optax.GradientTransformation(init, update)
