"""How a run is carried out: what it writes, evaluates and saves, and where it lives."""

import math

from research.augmentation import TTA
from research.errors import UserError
from research.records import Record, record, require, require_known

MESH_AXES = ("data", "model")
MESH_MODES = ("dp", "fsdp", "pmap")
FEEDS = ("auto", "resident", "streamed")


@record
class Logging(Record):
    """What is written while training, and how often."""

    every_steps: int = 50
    """Steps between two lines of training metrics; each is a mean over them."""

    tensorboard: bool = True
    """Whether TensorBoard event files stand beside metrics.jsonl."""

    layer_gradients: bool = False
    """Whether a line has the norm of each layer's gradient, too, of its own step."""

    def validate(self, path):
        require(self.every_steps >= 1, f"{path}.every_steps", "must be at least 1")


@record
class Evaluation(Record):
    """When and how the validation split is evaluated."""

    every_epochs: float = 1.0
    """Epochs between two evaluations; the last step is always evaluated."""

    global_batch_size: int = 512
    """Examples per evaluation step; the last batch is padded and masked."""

    test_checkpoint: str = "last"
    """Which parameters the test split is measured with: "last" or "best"."""

    tta: str = "none"
    """Views of each image over which the predicted probabilities are averaged, also
    on test: "none", "flip" (as it is and mirrored) or "flip_shift" (both, also moved
    by a pixel up, down, left and right)."""

    patience: int = 0
    """Evaluations without a new best after which training stops early; 0: never."""

    dropout_samples: int = 0
    """Dropout masks over which each prediction is averaged, Monte Carlo dropout
    (arXiv:1506.02142); 0: evaluation knows no dropout."""

    def warnings(self, path):
        if not self.patience or self.test_checkpoint == "best":
            return []
        return [f"{path}.test_checkpoint: 'best' is what one stops early for, not 'last'"]

    def validate(self, path):
        for name in ("patience", "dropout_samples"):
            require(getattr(self, name) >= 0, f"{path}.{name}", "must not be negative")
        require(self.every_epochs > 0, f"{path}.every_epochs", "must be positive")
        require(self.global_batch_size >= 1, f"{path}.global_batch_size", "must be at least 1")
        require(
            self.test_checkpoint in ("last", "best"),
            f"{path}.test_checkpoint",
            f"takes 'last' or 'best', not {self.test_checkpoint!r}",
        )
        require_known(self.tta, TTA, f"{path}.tta")


@record
class Checkpointing(Record):
    """When the training state is saved, and how many checkpoints stay. It decides what
    a fault costs, not what is computed: a run may go on with another."""

    every_steps: int = 0
    """Steps between two checkpoints; 0: the clock alone says when."""

    every_minutes: float = 2.0
    """Wall-clock minutes after which a checkpoint is due at the latest."""

    keep: int = 2
    """How many of the newest checkpoints stay, beside the best one."""

    wait: bool = False
    """Whether training waits until each is on the disk. A run that is killed repeats at
    most every_steps steps then; else up to twice as many, if one was being saved."""

    def validate(self, path):
        require(self.every_steps >= 0, f"{path}.every_steps", "must not be negative")
        require(self.every_minutes > 0, f"{path}.every_minutes", "must be positive")
        require(self.keep >= 1, f"{path}.keep", "must be at least 1")


@record
class Feeding(Record):
    """How batches reach the devices. It decides speed, not what is computed: a run
    may go on with another."""

    source: str = "auto"
    """Where the training split lies: "resident", on the devices, "streamed", where it
    is stored, or "auto": resident if that takes no more than a quarter of their memory."""

    steps_at_once: int = 0
    """The most training steps that the devices make between two words with the host;
    0: as many as take a fifth of a second."""

    threads: int = 2
    """How many read batches ahead, where they are streamed."""

    def validate(self, path):
        require_known(self.source, FEEDS, f"{path}.source")
        require(self.steps_at_once >= 0, f"{path}.steps_at_once", "must not be negative")
        require(self.threads >= 1, f"{path}.threads", "must be at least 1")


@record
class Mesh(Record):
    """Which devices a run uses, and what each of them holds.

    It decides where arrays live, not what is computed: a run may go on with
    another mesh.
    """

    shape: str = "auto"
    """Axes and their sizes, such as "data:4,model:2": batches are divided along
    "data", channels of layers along "model". Without "data" it takes what the
    other leaves; "auto" is all devices along "data"."""

    mode: str = "dp"
    """What lies along "data" beside the batch. "dp": nothing, every device holds
    all parameters; "fsdp": parameters and optimizer state, gathered where they
    are used; "pmap": as "dp", each device running the step on its own part."""

    def sizes(self, num_devices: int) -> dict[str, int]:
        """Returns axis -> size on so many devices; it always has "data".

        Raises:
          UserError: if there are too few devices.
        """
        given = _parse_mesh_shape(self.shape)
        others = math.prod(size for axis, size in given.items() if axis != "data")
        sizes = given if "data" in given else {"data": num_devices // others, **given}
        needed = max(1, sizes["data"]) * others
        require(
            needed <= num_devices,
            "config.mesh.shape",
            f"{self.shape} needs {needed} devices; there are {num_devices}",
        )
        return sizes

    def fits(self, num_devices: int) -> bool:
        """Whether so many devices are enough."""
        try:
            self.sizes(num_devices)
        except UserError:
            return False
        return True

    def validate(self, path):
        require_known(self.mode, MESH_MODES, f"{path}.mode")
        sizes = _parse_mesh_shape(self.shape, f"{path}.shape")
        require(
            self.mode != "pmap" or sizes.get("model", 1) == 1,
            f"{path}.mode",
            f"pmap divides nothing but the batch; the shape {self.shape} wants more",
        )


def _parse_mesh_shape(shape: str, path: str = "config.mesh.shape") -> dict[str, int]:
    """Returns axis -> size of what `Mesh.shape` gives."""
    sizes: dict[str, int] = {}
    for part in shape.split(",") if shape != "auto" else ():
        axis, _, size = part.strip().partition(":")
        require_known(axis, MESH_AXES, path)
        require(axis not in sizes, path, f"gives {axis!r} twice")
        require(
            size.isascii() and size.isdigit() and int(size) >= 1,
            path,
            f"takes 'auto' or axes and sizes such as 'data:4,model:2', not {shape!r}",
        )
        sizes[axis] = int(size)
    return sizes
