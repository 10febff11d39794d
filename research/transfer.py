"""What a new run takes from another one: `Experiment.init_from` says from which."""

import re

from research.errors import UserError
from research.records import Record, record, require


@record
class Transfer(Record):
    """Which arrays of the other run's checkpoint take the place of initial values.

    What they are to do then, the optimizer says: `freeze` and
    `learning_rate_factors`.
    """

    until: str = ""
    """A layer of this experiment's model, such as "logits": what stands before it is
    taken; it and all that follows, the head, begins afresh. "": everything is taken."""

    only: str = "params/|batch_stats/"
    """Regular expression: arrays whose paths, such as "params/dense_0/kernel", begin
    with it are taken."""

    allow_missing: str = ""
    """Regular expression: those of them that may keep their initial values, because
    the checkpoint lacks them or has them in another shape or dtype; "": none."""

    def untouched(self) -> bool:
        """Whether all options have their defaults."""
        return self == Transfer()

    def validate(self, path):
        for name in ("only", "allow_missing"):
            try:
                re.compile(getattr(self, name))
            except re.error as error:
                raise UserError(f"{path}.{name}: is no regular expression: {error}") from error
        require(bool(self.only), f"{path}.only", "would take nothing")
