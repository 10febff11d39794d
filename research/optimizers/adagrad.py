"""AdaGrad."""

from research.optimizers.base import Optimizer, check_positive
from research.records import record, require


@record
class AdaGrad(Optimizer):
    """s ← s + g², w ← w − η·g/√(s + ε) (Duchi, Hazan & Singer 2011, JMLR 12)."""

    name: str = "adagrad"
    learning_rate: float = 0.01

    initial_accumulator: float = 0.0
    """s before the first update; above 0 it damps the first steps."""

    eps: float = 1e-10

    def direction(self):
        import optax

        return optax.scale_by_rss(self.initial_accumulator, self.eps)

    def validate(self, path):
        super().validate(path)
        require(
            self.initial_accumulator >= 0, f"{path}.initial_accumulator", "must not be negative"
        )
        check_positive(self, ("eps",), path)
