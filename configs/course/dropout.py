"""Over-fitting: a wide network learns the noise by heart, dropout keeps it from doing so.

    python -m launch.course --lesson=dropout
    python -m launch.train --config=configs/course/dropout.py --workdir=runs/by_heart

The second trains without dropout: expect a training accuracy of 0.98, and 0.76 on test.
"""

from research.course.lesson import Lesson, accuracy_on_test, at_least, larger, loss_on_test
from research.data.playground import Playground
from research.experiment import Evaluation, Experiment, Logging
from research.models.mlp import Mlp
from research.optimizers.adam import Adam


def get_config() -> Experiment:
    return Experiment(
        name="dropout",
        steps=3000,
        global_batch_size=64,
        data=Playground(problem="circle", noise=40, num_points=1500, test_fraction=0.8),
        model=Mlp(widths=(256, 256)),
        optimizer=Adam(learning_rate=1e-3),
        logging=Logging(every_steps=100, tensorboard=False),
        evaluation=Evaluation(every_epochs=40),
    )


PLAIN, DROPOUT = "without dropout", "with dropout"


def train_accuracy(run):
    return run.series("train", "accuracy")[1][-1]


def judge(figures):
    return [
        at_least(figures, PLAIN, "training accuracy", 0.95),
        larger(figures, PLAIN, DROPOUT, "test loss", by=0.3),
        larger(figures, DROPOUT, PLAIN, "test accuracy"),
    ]


def draw(figure, runs):
    from research.course.drawing import curves, plane

    left, middle, right = figure.subplots(1, 3)
    plane(left, runs[PLAIN][0], PLAIN, reach=6)
    plane(middle, runs[DROPOUT][0], DROPOUT, reach=6)
    both = "loss: validation (—) and training (--)"
    curves(right, runs, "validation", "loss", both)
    curves(right, runs, "train", "loss", both, style="--")
    right.legend(right.lines[: len(runs)], list(runs))


LESSON = Lesson(
    title="Over-fitting, and dropout against it",
    text=(
        "The points are coloured by a circle, but only after noise has moved them, so that no "
        "network can get them all right. One of two layers of 256 units learns the colours of "
        "its 150 training points by heart and is sure of itself where it is wrong. Dropout "
        "leaves out half of the units at every step (Srivastava et al. 2014): the boundary is "
        "smoother, and where noise rules, the network doubts."
    ),
    variants={PLAIN: (), DROPOUT: ("--config.model.dropout_rate=0.5",)},
    judge=judge,
    draw=draw,
    measures={
        "training accuracy": train_accuracy,
        "test accuracy": accuracy_on_test,
        "test loss": loss_on_test,
    },
    size=(10, 3.5),
)
