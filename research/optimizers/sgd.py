"""Stochastic gradient descent, plain, with momentum and with Nesterov momentum."""

from research.optimizers.base import Optimizer, check_decays
from research.records import record, require


@record
class Sgd(Optimizer):
    """w ← w − ηv with v ← µv + g (Robbins & Monro 1951; Polyak 1964).

    With `nesterov` the step is µv + g instead of v (Nesterov 1983, in the form
    of Sutskever et al. 2013).
    """

    name: str = "sgd"
    learning_rate: float = 0.1

    momentum: float = 0.0
    """µ; 0 keeps no velocity."""

    nesterov: bool = False

    def direction(self):
        import optax

        if not self.momentum:
            return optax.identity()
        return optax.trace(decay=self.momentum, nesterov=self.nesterov)

    def validate(self, path):
        super().validate(path)
        check_decays(self, ("momentum",), path)
        require(
            self.momentum > 0 or not self.nesterov,
            f"{path}.nesterov",
            "needs a momentum above 0",
        )


@record
class Momentum(Sgd):
    """`Sgd` with a momentum of 0.9 unless told otherwise."""

    name: str = "momentum"
    momentum: float = 0.9


@record
class Nesterov(Momentum):
    """`Sgd` with Nesterov momentum of 0.9 unless told otherwise."""

    name: str = "nesterov"
    nesterov: bool = True
