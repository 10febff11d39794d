"""What an experiment is: one typed value that decides everything a run does."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from research.augmentation import TTA, Augmentation
from research.data import DATASETS, Data, TfdsImages
from research.errors import UserError
from research.models import MODELS, Model
from research.objectives import LOSSES, Loss
from research.optimizers import OPTIMIZERS, Optimizer
from research.records import Record, choice, from_dict, record, require, require_known
from research.transfer import Transfer

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
    """When the training state is saved, and how many checkpoints stay."""

    every_steps: int = 500
    """Steps between two checkpoints."""

    every_minutes: float = 10.0
    """Wall-clock minutes after which a checkpoint is due at the latest."""

    keep: int = 2
    """How many of the newest checkpoints stay, beside the best one."""

    def validate(self, path):
        require(self.every_steps >= 1, f"{path}.every_steps", "must be at least 1")
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


@record
class Experiment(Record):
    """Everything that decides a run; equal experiments give equal results.

    Fields can be overridden by flags (`--config.optimizer.learning_rate=3e-3`);
    `--config.model.name=cnn` changes a component, whose options then take its
    own defaults.
    """

    name: str
    """Names the default work directory, runs/NAME."""

    seed: int = 0
    """Decides initial parameters, batch order, augmentation and dropout."""

    epochs: float = 10.0
    """Passes over the training split; ignored where `steps` is given."""

    steps: int = 0
    """Training steps; 0 derives them from `epochs`."""

    global_batch_size: int = 128
    """Examples per training step, over all devices."""

    init_from: str = ""
    """Another run, whose parameters this one begins with: its work directory, of
    which the newest checkpoint is meant, or a checkpoint, WORKDIR/checkpoints/STEP.
    `transfer` says which of them; "": none."""

    data: Data = choice(DATASETS, "digits", otherwise=TfdsImages)
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    model: Model = choice(MODELS, "mlp")
    loss: Loss = choice(LOSSES, "softmax_cross_entropy")
    optimizer: Optimizer = choice(OPTIMIZERS, "adam")
    feeding: Feeding = dataclasses.field(default_factory=Feeding)
    mesh: Mesh = dataclasses.field(default_factory=Mesh)
    logging: Logging = dataclasses.field(default_factory=Logging)
    evaluation: Evaluation = dataclasses.field(default_factory=Evaluation)
    checkpoint: Checkpointing = dataclasses.field(default_factory=Checkpointing)
    transfer: Transfer = dataclasses.field(default_factory=Transfer)

    def validate(self, path):
        require(0 <= self.seed < 2**32, f"{path}.seed", "must lie in [0, 2**32)")
        require(self.steps >= 0, f"{path}.steps", "must not be negative")
        require(
            self.steps > 0 or self.epochs > 0,
            f"{path}.epochs",
            f"must be positive, not {self.epochs} (or give {path}.steps)",
        )
        require(self.global_batch_size >= 1, f"{path}.global_batch_size", "must be at least 1")
        require(
            bool(self.init_from) or self.transfer.untouched(),
            f"{path}.init_from",
            "give the run whose arrays are meant, its work directory or a checkpoint",
        )
        require(
            self.loss.takes_numbers or not self.data.regression,
            f"{path}.loss.name",
            f"{self.loss.name!r} takes classes; config.data.regression gives numbers. Use 'mse'",
        )
        for name in ("label_smoothing", "class_weights") if self.data.regression else ():
            require(
                not getattr(self.loss, name),
                f"{path}.loss.{name}",
                "is about classes; with config.data.regression there are none",
            )
        require(
            not self.loss.class_weights or self.data.balance != "weights",
            f"{path}.loss.class_weights",
            "are given by config.data.balance=weights; leave one of them out",
        )
        for name in self.augmentation.mixing():
            where = f"{path}.augmentation.{name}"
            require(
                self.global_batch_size > 1,
                where,
                "mixes the examples of a batch, of which there is only one",
            )
            require(
                self.loss.takes_shares,
                where,
                f"gives shares of classes, but the loss {self.loss.name!r} takes classes alone",
            )


def from_recorded(values: Any) -> Experiment:
    """Builds the experiment that a run of this or an older version recorded.

    Raises:
      UserError: see `research.records.from_dict`.
    """
    if isinstance(values, Mapping) and isinstance(old := values.get("restore"), Mapping):
        # Until version 0.1 one record held both.
        others = {name: value for name, value in values.items() if name != "restore"}
        transfer = {name: value for name, value in old.items() if name != "checkpoint"}
        values = {**others, "init_from": old.get("checkpoint", ""), "transfer": transfer}
    return from_dict(Experiment, values)


@dataclasses.dataclass(frozen=True)
class Timetable:
    """The steps of a run at which something happens, once its data is known.

    Steps are counted from 1: "after step n" is the state that n updates made.
    """

    total_steps: int
    log_every: int
    evaluate_every: int
    checkpoint_every: int
    steps_per_epoch: float
    patience: int = 0

    def logs_after(self, step: int) -> bool:
        """Whether a line of training metrics is due after this step."""
        return step % self.log_every == 0 or step == self.total_steps

    def evaluates_after(self, step: int) -> bool:
        """Whether the validation split is evaluated after this step."""
        return step % self.evaluate_every == 0 or step == self.total_steps

    def checkpoints_after(self, step: int) -> bool:
        """Whether a checkpoint is due after this step, whatever the clock says."""
        return step % self.checkpoint_every == 0 or step == self.total_steps

    def steps_until_pause(self, step: int) -> int:
        """How many steps after this one the next evaluation, checkpoint or end is due."""
        due = (every - step % every for every in (self.evaluate_every, self.checkpoint_every))
        return min(self.total_steps - step, *due)

    def ends_after(self, step: int, best_step: int) -> bool:
        """Whether training ends after this step, evaluations being best after another."""
        since_best = step // self.evaluate_every - best_step // self.evaluate_every
        return step == self.total_steps or 0 < self.patience <= since_best


def timetable(experiment: Experiment, num_train_examples: int) -> Timetable:
    """Derives the run's timetable from the size of its training split.

    Raises:
      UserError: if the batch is larger than the training split.
    """
    require(
        experiment.global_batch_size <= num_train_examples,
        "config.global_batch_size",
        f"{experiment.global_batch_size} is larger than the training split of "
        f"{num_train_examples} examples; use at most {num_train_examples}",
    )
    steps_per_epoch = num_train_examples / experiment.global_batch_size
    return Timetable(
        # Multiplied first: whole epochs that end with a batch must not be rounded up.
        total_steps=experiment.steps
        or math.ceil(experiment.epochs * num_train_examples / experiment.global_batch_size),
        log_every=experiment.logging.every_steps,
        evaluate_every=max(1, round(experiment.evaluation.every_epochs * steps_per_epoch)),
        checkpoint_every=experiment.checkpoint.every_steps,
        steps_per_epoch=steps_per_epoch,
        patience=experiment.evaluation.patience,
    )
