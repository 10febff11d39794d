"""What every optimizer has in common: its options and the part it adds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from research.optimizers.patterns import check_found, check_pattern, found
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

    lookahead_steps: int = 0
    """Updates k after which slow weights go a part of the way to the fast ones,
    and these return to them (arXiv:1907.08610); 0: never."""

    lookahead_rate: float = 0.5
    """That part, α."""

    sam_radius: float = 0.0
    """ρ of sharpness-aware minimisation (arXiv:2010.01412): the gradient is taken
    at w + ρ·g/‖g‖; a step costs two. 0: at w."""

    freeze: tuple[str, ...] = ()
    """Regular expressions: parameters in whose paths, such as "conv_0_0/kernel",
    one is found stay as they are, and so do the statistics of their BatchNorm."""

    learning_rate_factors: tuple[tuple[str, float], ...] = ()
    """(Regular expression, factor of η): the first one found in a parameter's path
    decides; 1 where none is."""

    def direction(self) -> "optax.GradientTransformation":
        """Returns the transformation from gradient to step, before η is applied."""
        raise TypeError(f"{type(self).__name__} defines no direction")

    def wrap(
        self, chain: "optax.GradientTransformation", schedule: "optax.Schedule"
    ) -> "optax.GradientTransformation":
        """Returns what the optimizer puts around its chain: nothing, for most.

        Args:
          chain: gradients -> updates, of all parts.
          schedule: updates made -> learning rate.
        """
        del schedule
        return chain

    @property
    def averages(self) -> bool:
        """Whether an average of the parameters is kept beside them."""
        return self.ema_decay > 0 or self.lookahead_steps > 0

    def frozen(self, path: str) -> bool:
        """Whether the parameter of that path, such as "dense_0/kernel", is frozen."""
        return any(found(pattern, path) for pattern in self.freeze)

    def learning_rate_factor(self, path: str) -> float:
        """The factor of the learning rate of the parameter of that path."""
        factors = self.learning_rate_factors
        return next((factor for pattern, factor in factors if found(pattern, path)), 1.0)

    def check_paths(self, paths: Sequence[str]) -> None:
        """Raises `UserError` if a pattern fits no parameter, or nothing is left to train.

        Args:
          paths: those of all parameters.
        """
        field = "config.optimizer"
        factors = enumerate(self.learning_rate_factors)
        check_found(
            {f"{field}.freeze[{i}]": pattern for i, pattern in enumerate(self.freeze)}
            | {f"{field}.learning_rate_factors[{i}]": pattern for i, (pattern, _) in factors},
            paths,
        )
        require(
            not all(map(self.frozen, paths)),
            f"{field}.freeze",
            "freezes every parameter; nothing is left to train",
        )

    def validate(self, path):
        check_positive(self, ("learning_rate",), path)
        for name in ("clip_norm", "l1", "l2", "weight_decay", "sam_radius"):
            value = getattr(self, name)
            require(value >= 0, f"{path}.{name}", f"must not be negative, not {value}")
        require(self.accumulate_steps >= 1, f"{path}.accumulate_steps", "must be at least 1")
        for name in ("apply_if_finite", "lookahead_steps"):
            require(getattr(self, name) >= 0, f"{path}.{name}", "must not be negative")
        check_decays(self, ("ema_decay",), path)
        require(
            0 < self.lookahead_rate <= 1,
            f"{path}.lookahead_rate",
            f"must lie in (0, 1], not {self.lookahead_rate}",
        )
        if self.lookahead_steps:
            check_only_average(self, path)
        for index, pattern in enumerate(self.freeze):
            check_pattern(pattern, f"{path}.freeze[{index}]")
        for index, (pattern, factor) in enumerate(self.learning_rate_factors):
            where = f"{path}.learning_rate_factors[{index}]"
            check_pattern(pattern, where)
            message = f"the factor must be positive, not {factor}; to keep parameters as they are, "
            require(factor > 0, where, f"{message}use {path}.freeze")


def check_decays(options: Record, names: Sequence[str], path: str) -> None:
    """Raises `UserError` unless these options are decays, in [0, 1)."""
    for name in names:
        value = getattr(options, name)
        require(0 <= value < 1, f"{path}.{name}", f"must lie in [0, 1), not {value}")


def check_positive(options: Record, names: Sequence[str], path: str) -> None:
    """Raises `UserError` unless these options are positive."""
    for name in names:
        value = getattr(options, name)
        require(value > 0, f"{path}.{name}", f"must be positive, not {value}")


def check_only_average(options: Record, path: str) -> None:
    """Raises `UserError` if an option is on that does not go with averaged weights."""
    for name, why in (
        ("ema_decay", "the optimizer keeps an average of its own"),
        ("l1", "averaged weights are never exactly 0"),
    ):
        require(not getattr(options, name), f"{path}.{name}", f"must be 0: {why}")
