"""Schedule-free Adam."""

from research.optimizers.adam import AdamW
from research.optimizers.base import check_only_average
from research.records import record, require


@record
class ScheduleFreeAdam(AdamW):
    """Adam whose average of iterates takes the place of a decaying schedule.

    z takes Adam's steps without momentum, x is the mean of z weighted by η², and
    gradients are taken in between, at y = (1−β₁)z + β₁x (Defazio et al. 2024,
    arXiv:2405.15682). The parameters are y; their average, to be used, is x.
    """

    name: str = "schedule_free_adam"
    learning_rate: float = 2.5e-3
    weight_decay: float = 0.0

    def direction(self):
        import optax

        return optax.scale_by_rms(self.b2, self.eps, eps_in_sqrt=False, bias_correction=True)

    def wrap(self, chain, schedule):
        import optax

        return optax.contrib.schedule_free(
            # It counts updates from 1.
            chain,
            learning_rate=lambda count: schedule(count - 1),
            b1=self.b1,
        )

    @property
    def averages(self):
        return True

    def validate(self, path):
        super().validate(path)
        require(self.b1 > 0, f"{path}.b1", "must be above 0: x couldn't be told from y and z")
        check_only_average(self, path)
        require(
            not self.lookahead_steps, f"{path}.lookahead_steps", "must be 0: one average is enough"
        )
