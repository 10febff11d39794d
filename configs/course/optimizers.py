"""Optimizers: SGD, Adam, RAdam, AdaBound and AdaBelief on one plot.

    python -m launch.course --lesson=optimizers
    python -m launch.train --config=configs/course/optimizers.py --workdir=runs/sgd

The second trains by SGD: expect a test accuracy of about 0.96.
"""

from research.course.lesson import Check, Lesson, accuracy_on_test, at_least, larger
from research.experiment import Evaluation, Experiment, Logging
from research.models.mlp import Mlp
from research.optimizers.sgd import Sgd


def get_config() -> Experiment:
    return Experiment(
        name="optimizers",
        epochs=25,
        global_batch_size=64,
        model=Mlp(widths=(64, 64)),
        optimizer=Sgd(learning_rate=0.05),
        logging=Logging(every_steps=5, tensorboard=False),
        evaluation=Evaluation(every_epochs=5),
    )


SGD, ADAM, RADAM, BOUND, BELIEF = "SGD", "Adam", "RAdam", "AdaBound", "AdaBelief"
EARLY = "training loss at step 100"


def loss_at_step_100(run):
    steps, losses = run.series("train", "loss")
    return losses[steps == 100][0]


def judge(figures):
    gap = abs(figures[BOUND][EARLY] - figures[ADAM][EARLY]).max()
    return [
        *(at_least(figures, name, "test accuracy", 0.9) for name in figures),
        larger(figures, RADAM, ADAM, EARLY, by=0.5),
        larger(figures, ADAM, BELIEF, EARLY),
        Check(
            f"{BOUND} starts as {ADAM}: their {EARLY} differ by less than 0.02, with every seed",
            bool(gap < 0.02),
            f"by {gap:.1g} at most",
        ),
    ]


def draw(figure, runs):
    from research.course.drawing import curves

    left, right = figure.subplots(1, 2)
    curves(left, runs, "train", "loss")
    left.set_yscale("log")
    left.legend()
    curves(right, runs, "validation", "accuracy")
    right.set_ylim(0.5, 1)


def at_default_rate(name: str) -> tuple[str, ...]:
    return f"--config.optimizer.name={name}", "--config.optimizer.learning_rate=0.001"


LESSON = Lesson(
    title="Five optimizers",
    text=(
        "Adam (arXiv:1412.6980) scales every parameter's step by the size of its gradients. "
        "RAdam (arXiv:1908.03265) does so only once that size is known well enough, and takes "
        "plain steps until then, which at Adam's learning rate are slow. AdaBound "
        "(arXiv:1902.09843) begins as Adam and ends as SGD, its bounds closing in slowly. "
        "AdaBelief (arXiv:2010.07468) divides by how much a gradient surprises, and goes further "
        "where gradients agree. SGD needs a learning rate of its own, here 0.05; the others "
        "have 0.001."
    ),
    variants={
        SGD: (),
        ADAM: at_default_rate("adam"),
        RADAM: at_default_rate("radam"),
        BOUND: at_default_rate("adabound"),
        BELIEF: at_default_rate("adabelief"),
    },
    judge=judge,
    draw=draw,
    measures={EARLY: loss_at_step_100, "test accuracy": accuracy_on_test},
)
