"""What every optimizer has in common: its options and the part it adds."""

from typing import TYPE_CHECKING

from research.optimizers.schedules import SCHEDULES, Schedule
from research.records import Record, choice, record, require

if TYPE_CHECKING:
    import optax


@record
class Optimizer(Record):
    """Options of an optimizer; a subclass adds its own and defines `direction`.

    The order in which they act is that of `research.optimizers.chain`.
    """

    name: str

    learning_rate: float = 1e-3
    """The peak learning rate η; the schedule multiplies it."""

    schedule: Schedule = choice(SCHEDULES, "constant")

    clip_norm: float = 0.0
    """Gradients with a larger global L2 norm are scaled down to it; 0: never."""

    l1: float = 0.0
    """λ of soft-thresholding after the update: the penalty λ‖w‖₁ under plain SGD,
    λ(1−µ)‖w‖₁ under a momentum µ; like `weight_decay` it bypasses the direction."""

    l2: float = 0.0
    """λ of the penalty λ/2·‖w‖² in the loss: λw joins the gradient."""

    weight_decay: float = 0.0
    """λ of decoupled weight decay (arXiv:1711.05101): the update gains −ηλw."""

    accumulate_steps: int = 1
    """Training steps whose gradients are averaged into one update."""

    ema_decay: float = 0.0
    """Decay of an exponential moving average of the parameters; 0: none."""

    apply_if_finite: int = 0
    """Steps in a row that may be skipped because their loss or gradient is not
    finite: they change nothing, and the schedule does not count them. One more
    stops the run; 0: the first does."""

    def direction(self) -> "optax.GradientTransformation":
        """Returns the transformation from gradient to step, before η is applied."""
        raise TypeError(f"{type(self).__name__} defines no direction")

    def validate(self, path):
        require(
            self.learning_rate > 0,
            f"{path}.learning_rate",
            f"must be positive, not {self.learning_rate}",
        )
        for name in ("clip_norm", "l1", "l2", "weight_decay"):
            value = getattr(self, name)
            require(value >= 0, f"{path}.{name}", f"must not be negative, not {value}")
        require(self.accumulate_steps >= 1, f"{path}.accumulate_steps", "must be at least 1")
        require(self.apply_if_finite >= 0, f"{path}.apply_if_finite", "must not be negative")
        require(
            0 <= self.ema_decay < 1,
            f"{path}.ema_decay",
            f"must lie in [0, 1), not {self.ema_decay}",
        )
