"""Learning-rate schedules: typed options and the functions they stand for.

A schedule is a function of the number of updates made so far; the first update
is made with its value at 0.
"""

from typing import TYPE_CHECKING

from research.records import Record, record, require, table

if TYPE_CHECKING:
    import optax


@record
class Schedule(Record):
    """Options of a schedule; a subclass adds its own and defines `function`."""

    name: str

    def function(self, peak: float, total_updates: int) -> "optax.Schedule":
        """Returns the map from updates made to learning rate.

        Args:
          peak: the learning rate that the schedule scales.
          total_updates: updates of the whole run.
        """
        raise TypeError(f"{type(self).__name__} defines no function")


@record
class Constant(Schedule):
    """The peak learning rate throughout."""

    name: str = "constant"

    def function(self, peak, total_updates):
        import optax

        return optax.constant_schedule(peak)


@record
class WarmupCosine(Schedule):
    """Linear from 0 to the peak, then half a cosine (arXiv:1608.03983) to the end."""

    name: str = "warmup_cosine"

    warmup_fraction: float = 0.05
    """Share of all updates spent on the way up."""

    end_factor: float = 0.0
    """Last learning rate as a share of the peak."""

    def function(self, peak, total_updates):
        import optax

        return optax.warmup_cosine_decay_schedule(
            init_value=peak if self.warmup_fraction == 0 else 0.0,
            peak_value=peak,
            # The cosine has at least the last update, however short the run.
            warmup_steps=min(round(self.warmup_fraction * total_updates), total_updates - 1),
            decay_steps=total_updates,
            end_value=self.end_factor * peak,
        )

    def validate(self, path):
        _require_share(self.warmup_fraction, f"{path}.warmup_fraction")
        require(0 <= self.end_factor <= 1, f"{path}.end_factor", "must lie in [0, 1]")


@record
class Step(Schedule):
    """Multiplied by `factor` whenever a share of all updates has been made."""

    name: str = "step"
    factor: float = 0.1
    boundaries: tuple[float, ...] = (0.5, 0.75)
    """Shares of all updates, ascending."""

    def function(self, peak, total_updates):
        import optax

        scales: dict[int, float] = {}
        for share in self.boundaries:
            boundary = round(share * total_updates)
            # In a short run several shares may fall on the same update.
            scales[boundary] = scales.get(boundary, 1.0) * self.factor
        return optax.piecewise_constant_schedule(peak, scales)

    def validate(self, path):
        require(self.factor > 0, f"{path}.factor", "must be positive")
        require(
            list(self.boundaries) == sorted(set(self.boundaries)),
            f"{path}.boundaries",
            f"must ascend, not {self.boundaries}",
        )
        for index, share in enumerate(self.boundaries):
            require(0 < share < 1, f"{path}.boundaries[{index}]", "must lie in (0, 1)")


@record
class InverseSqrt(Schedule):
    """peak/√t at the t-th update (Zinkevich 2003), after a linear way up from 0."""

    name: str = "inverse_sqrt"

    warmup_fraction: float = 0.0
    """Share of all updates spent on the way up; the decay is then counted from it."""

    def function(self, peak, total_updates):
        import jax.numpy as jnp

        warmup = max(1, round(self.warmup_fraction * total_updates))

        def value(count):
            # As Vaswani et al. 2017 (arXiv:1706.03762), equation 3.
            updates = count + 1.0
            return peak * jnp.minimum(updates / warmup, jnp.sqrt(warmup / updates))

        return value

    def validate(self, path):
        _require_share(self.warmup_fraction, f"{path}.warmup_fraction")


@record
class OneCycle(Schedule):
    """Up to the peak and down to almost nothing along cosines (arXiv:1708.07120)."""

    name: str = "one_cycle"

    warmup_fraction: float = 0.3
    """Share of all updates spent on the way up."""

    start_factor: float = 0.04
    """First learning rate as a share of the peak."""

    end_factor: float = 1e-4
    """Last learning rate as a share of the first one."""

    def function(self, peak, total_updates):
        import optax

        return optax.cosine_onecycle_schedule(
            transition_steps=total_updates,
            peak_value=peak,
            pct_start=self.warmup_fraction,
            div_factor=1 / self.start_factor,
            final_div_factor=1 / self.end_factor,
        )

    def validate(self, path):
        require(0 < self.warmup_fraction < 1, f"{path}.warmup_fraction", "must lie in (0, 1)")
        require(0 < self.start_factor <= 1, f"{path}.start_factor", "must lie in (0, 1]")
        require(0 < self.end_factor <= 1, f"{path}.end_factor", "must lie in (0, 1]")


SCHEDULES = table(Schedule, globals())


def _require_share(value: float, path: str) -> None:
    require(0 <= value < 1, path, f"must lie in [0, 1), not {value}")
