"""Rectified Adam."""

from research.optimizers.adam import Adam
from research.records import record


@record
class RAdam(Adam):
    """Adam whose step is scaled by r, which grows to 1 as v becomes trustworthy.

    While the variance of 1/√v̂ is unbounded (the approximated simple moving
    average is shorter than 5) the step is that of momentum, m̂ (Liu et al. 2020,
    arXiv:1908.03265, algorithm 2).
    """

    name: str = "radam"

    def direction(self):
        import optax

        return optax.scale_by_radam(b1=self.b1, b2=self.b2, eps=self.eps)
