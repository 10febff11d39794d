"""Initialisation: Xavier's and He's standard deviations against one that is too large.

    python -m launch.course --lesson=initialisation
    python -m launch.train --config=configs/course/initialisation.py --workdir=runs/init

The second trains six layers of ReLU from He's initial weights on the digits: expect
a test accuracy of about 0.97.
"""

from research.course.lesson import Lesson, at_least, larger
from research.experiment import Evaluation, Experiment, Logging
from research.models.mlp import Mlp
from research.optimizers.sgd import Sgd


def get_config() -> Experiment:
    return Experiment(
        name="initialisation",
        epochs=15,
        global_batch_size=64,
        model=Mlp(widths=(64,) * 6, activation="relu", initializer="he_normal"),
        optimizer=Sgd(learning_rate=0.05, clip_norm=1.0),
        logging=Logging(every_steps=10, tensorboard=False),
        evaluation=Evaluation(every_epochs=3),
    )


HE, BAD_RELU = "ReLU, He", "ReLU, sd 1"
XAVIER, BAD_TANH = "tanh, Xavier", "tanh, sd 1"
BAD = "--config.model.initializer=standard_normal"


def judge(figures):
    return [
        at_least(figures, HE, "test accuracy", 0.9),
        at_least(figures, XAVIER, "test accuracy", 0.9),
        larger(figures, HE, BAD_RELU, "test accuracy", by=0.05),
        larger(figures, XAVIER, BAD_TANH, "test accuracy", by=0.05),
    ]


def draw(figure, runs):
    from research.course.drawing import curves

    left, right = figure.subplots(1, 2)
    curves(left, runs, "train", "loss")
    left.set_yscale("log")
    curves(right, runs, "validation", "accuracy")
    right.legend()


LESSON = Lesson(
    title="Initial weights",
    text=(
        "Signals and gradients keep their size from layer to layer if the weights of n inputs "
        "have a standard deviation of √(2/n) before ReLU (He et al. 2015, arXiv:1502.01852), and "
        "of √(2/(inputs + outputs)) before tanh (Glorot & Bengio 2010, called Xavier). With a "
        "standard deviation of 1 the outputs explode under ReLU, and the units saturate under "
        "tanh."
    ),
    variants={
        HE: (),
        BAD_RELU: (BAD,),
        XAVIER: ("--config.model.activation=tanh", "--config.model.initializer=glorot_normal"),
        BAD_TANH: ("--config.model.activation=tanh", BAD),
    },
    judge=judge,
    draw=draw,
)
