"""Adam and AdamW."""

from research.optimizers.base import Optimizer, check_decays, check_positive
from research.records import record


@record
class Adam(Optimizer):
    """m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², w ← w − η·m̂/(√v̂ + ε).

    m̂ and v̂ are m and v corrected for their start at 0 (Kingma & Ba 2015,
    arXiv:1412.6980, algorithm 1).
    """

    name: str = "adam"
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def direction(self):
        import optax

        return optax.scale_by_adam(b1=self.b1, b2=self.b2, eps=self.eps)

    def validate(self, path):
        super().validate(path)
        check_decays(self, ("b1", "b2"), path)
        check_positive(self, ("eps",), path)


@record
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101)."""

    name: str = "adamw"
    weight_decay: float = 0.01
