"""AdaBelief."""

from research.optimizers.adam import Adam
from research.records import record


@record
class AdaBelief(Adam):
    """Adam with s ← β₂s + (1−β₂)(g − m)² + ε in the place of v.

    The step is large where the gradient is as expected (Zhuang et al. 2020,
    arXiv:2010.07468, algorithm 2).
    """

    name: str = "adabelief"
    eps: float = 1e-16

    def direction(self):
        import optax

        return optax.scale_by_belief(b1=self.b1, b2=self.b2, eps=self.eps, eps_root=self.eps)
