"""What an experiment is: one typed value that decides everything a run does."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from research.augmentation import Augmentation
from research.data import DATASETS, Data, TfdsImages
from research.models import MODELS, Model
from research.objectives import LOSSES, Loss
from research.optimizers import OPTIMIZERS, Optimizer
from research.population.options import Population
from research.records import Record, choice, from_dict, record, require
from research.run_options import Checkpointing, Evaluation, Feeding, Logging, Mesh
from research.transfer import Transfer


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
    population: Population = dataclasses.field(default_factory=Population)

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
        if self.population.size > 1:
            for option, off, on in (
                ("init_from", not self.init_from, "a population begins with initial values"),
                ("evaluation.patience", not self.evaluation.patience, "replicas end together"),
                (
                    "evaluation.test_checkpoint",
                    self.evaluation.test_checkpoint == "last",
                    "replicas are best at different steps",
                ),
            ):
                require(off, f"{path}.{option}", f"goes with no population: {on}")
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
    # Multiplied first: whole epochs that end with a batch must not be rounded up.
    total_steps = experiment.steps or math.ceil(
        experiment.epochs * num_train_examples / experiment.global_batch_size
    )
    return Timetable(
        total_steps=total_steps,
        log_every=experiment.logging.every_steps,
        evaluate_every=max(1, round(experiment.evaluation.every_epochs * steps_per_epoch)),
        checkpoint_every=experiment.checkpoint.every_steps or total_steps,
        steps_per_epoch=steps_per_epoch,
        patience=experiment.evaluation.patience,
    )
