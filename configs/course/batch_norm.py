"""BatchNorm: the same sigmoid network, with and without it, counted in steps.

    python -m launch.course --lesson=batch_norm
    python -m launch.train --config=configs/course/batch_norm.py --workdir=runs/sigmoid

The second trains without it: expect a test accuracy of about 0.94 after 600 steps.
"""

from research.course.lesson import Check, Lesson, accuracy_on_test, at_least
from research.experiment import Evaluation, Experiment, Logging
from research.models.mlp import Mlp
from research.optimizers.sgd import Sgd


def get_config() -> Experiment:
    return Experiment(
        name="batch_norm",
        epochs=30,
        global_batch_size=64,
        model=Mlp(widths=(64, 64, 64), activation="sigmoid"),
        optimizer=Sgd(learning_rate=0.5),
        logging=Logging(every_steps=10, tensorboard=False),
        evaluation=Evaluation(every_epochs=0.5),
    )


PLAIN, NORMED = "without BatchNorm", "with BatchNorm"
STEPS = "steps to 90% on validation"


def steps_to_90_percent(run):
    steps, accuracies = run.series("validation", "accuracy")
    reached = steps[accuracies >= 0.9]
    return reached[0] if len(reached) else float("inf")


def judge(figures):
    plain, normed = figures[PLAIN][STEPS], figures[NORMED][STEPS]
    return [
        Check(
            f"{NORMED} a quarter of the steps to 90% is enough, with every seed",
            bool(((normed < float("inf")) & (plain >= 4 * normed)).all()),
            f"{normed.max():g} steps at most, and {plain.min():g} at least without it",
        ),
        at_least(figures, NORMED, "test accuracy", 0.93),
    ]


def draw(figure, runs):
    from research.course.drawing import curves

    left, right = figure.subplots(1, 2)
    curves(left, runs, "train", "loss")
    curves(right, runs, "validation", "accuracy")
    right.axhline(0.9, color="#5b6b7c", linewidth=0.8, linestyle=":")
    right.legend(loc="lower right")


LESSON = Lesson(
    title="BatchNorm's speed-up",
    text=(
        "Ioffe & Szegedy (2015, arXiv:1502.03167) put every unit's sum at mean 0 and variance 1 "
        "over the batch, before the activation, which keeps sigmoids out of saturation. Their "
        "first experiment is repeated here: three hidden layers of sigmoids, plain SGD, one "
        "learning rate for both."
    ),
    variants={PLAIN: (), NORMED: ("--config.model.batch_norm",)},
    judge=judge,
    draw=draw,
    measures={STEPS: steps_to_90_percent, "test accuracy": accuracy_on_test},
)
