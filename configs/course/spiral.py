"""The spiral: a line is lost on it, a small network with feature crosses winds along.

    python -m launch.course --lesson=spiral
    python -m launch.train --config=configs/course/spiral.py --workdir=runs/spiral

The second trains the network: expect a test accuracy of at least 0.98.
"""

from research.course.lesson import Lesson, at_least, at_most
from research.data.plane import FEATURES
from research.data.playground import Playground
from research.experiment import Evaluation, Experiment, Logging
from research.models.mlp import Mlp
from research.optimizers.adam import Adam


def get_config() -> Experiment:
    return Experiment(
        name="spiral",
        epochs=60,
        global_batch_size=10,
        data=Playground(problem="spiral", num_points=1000, features=FEATURES),
        model=Mlp(widths=(8, 8), activation="tanh"),
        optimizer=Adam(learning_rate=0.01),
        logging=Logging(every_steps=140, tensorboard=False),
        evaluation=Evaluation(every_epochs=2),
    )


LINE, NETWORK = "a line", "two hidden layers, seven features"


def judge(figures):
    return [
        at_most(figures, LINE, "test accuracy", 0.63),
        at_least(figures, NETWORK, "test accuracy", 0.98),
    ]


def draw(figure, runs):
    from research.course.drawing import curves, plane

    left, middle, right = figure.subplots(1, 3)
    for axes, name in ((left, LINE), (middle, NETWORK)):
        plane(axes, runs[name][0], name, reach=6)
    curves(right, runs, "validation", "accuracy")
    right.legend(loc="center right")


LESSON = Lesson(
    title="The spiral",
    text=(
        "Two arms wind around each other (Lang & Witbrock 1988), the hardest problem of "
        "TensorFlow's playground (arXiv:1708.03788). A line divides them no better than chance. "
        "Two hidden layers of eight tanh units follow the arms when they see, beside the "
        "coordinates, their squares, product and sines."
    ),
    variants={
        LINE: (
            "--config.model.name=perceptron",
            "--config.model.activation=identity",
            "--config.data.features=('x1','x2')",
        ),
        NETWORK: (),
    },
    judge=judge,
    draw=draw,
    size=(10, 3.5),
)
