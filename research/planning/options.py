"""How a plan is made. Nothing slow is imported."""

import dataclasses

WEAK, STRONG = "weak", "strong"


@dataclasses.dataclass(frozen=True)
class Options:
    """What a plan is to look at.

    Attributes:
      scaling: what larger slices keep: `WEAK`, each device's part of the batch;
        `STRONG`, the global batch.
      per_device_batch_size: that part; 0 is the experiment's batch divided over
        the smallest slice.
      search_batch: whether the largest batch that fits is searched.
    """

    scaling: str = WEAK
    per_device_batch_size: int = 0
    search_batch: bool = True
