"""RMSProp."""

from research.optimizers.base import Optimizer, check_decays, check_positive
from research.records import record


@record
class RmsProp(Optimizer):
    """v ← ρv + (1−ρ)g², w ← w − ηu with u ← µu + g/(√v + ε).

    Tieleman & Hinton 2012, lecture 6e, which has µ = 0 and so u = g/(√v + ε);
    ε stands outside of the root, as in PyTorch.
    """

    name: str = "rmsprop"

    decay: float = 0.9
    """ρ."""

    momentum: float = 0.0
    """µ; 0 keeps no velocity."""

    eps: float = 1e-8

    def direction(self):
        import optax

        scaled = optax.scale_by_rms(self.decay, self.eps, eps_in_sqrt=False)
        return optax.chain(scaled, optax.trace(self.momentum)) if self.momentum else scaled

    def validate(self, path):
        super().validate(path)
        check_decays(self, ("decay", "momentum"), path)
        check_positive(self, ("eps",), path)
