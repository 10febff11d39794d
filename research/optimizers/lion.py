"""Lion."""

from research.optimizers.base import Optimizer, check_decays
from research.records import record


@record
class Lion(Optimizer):
    """w ← w − η·sign(β₁m + (1−β₁)g), then m ← β₂m + (1−β₂)g.

    Found by a search over programs (Chen et al. 2023, arXiv:2302.06675,
    algorithm 2). Its learning rate is 3 to 10 times smaller than Adam's, its
    weight decay larger by as much.
    """

    name: str = "lion"
    learning_rate: float = 1e-4
    b1: float = 0.9
    b2: float = 0.99

    def direction(self):
        import optax

        return optax.scale_by_lion(b1=self.b1, b2=self.b2)

    def validate(self, path):
        super().validate(path)
        check_decays(self, ("b1", "b2"), path)
