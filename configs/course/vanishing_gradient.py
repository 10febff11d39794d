"""The vanishing gradient: under ten sigmoids the first layers stop learning, under ReLU not.

    python -m launch.course --lesson=vanishing_gradient
    python -m launch.train --config=configs/course/vanishing_gradient.py --workdir=runs/deep

The second trains ten layers of sigmoids on the digits: expect a test accuracy near
chance, 0.1. `metrics.jsonl` has the norm of every layer's gradient.
"""

from research.course.lesson import Lesson, accuracy_on_test, at_least, at_most
from research.experiment import Evaluation, Experiment, Logging
from research.models.mlp import Mlp
from research.optimizers.sgd import Momentum

DEPTH = 10


def get_config() -> Experiment:
    return Experiment(
        name="vanishing_gradient",
        epochs=20,
        global_batch_size=64,
        model=Mlp(widths=(32,) * DEPTH, activation="sigmoid"),
        optimizer=Momentum(learning_rate=0.02),
        logging=Logging(every_steps=10, tensorboard=False, layer_gradients=True),
        evaluation=Evaluation(every_epochs=5),
    )


SIGMOID, RELU = "ten layers of sigmoids", "ten layers of ReLU"
RATIO = "gradient of the first layer / of the tenth"


def gradients(run):
    """Norms of the layers' gradients, from the input to the output, at the first line."""
    names = [f"gradient_norm/dense_{index}" for index in range(DEPTH)]
    return [run.series("train", name)[1][0] for name in names]


def ratio(run):
    first, *_, tenth = gradients(run)
    return first / tenth


def judge(figures):
    return [
        # Nine sigmoids lie between; those of the textbook would shrink it to 0.25⁹ at best.
        at_most(figures, SIGMOID, RATIO, 1e-4),
        at_least(figures, RELU, RATIO, 1e-2),
        at_most(figures, SIGMOID, "test accuracy", 0.2),
        at_least(figures, RELU, "test accuracy", 0.9),
    ]


def draw(figure, runs):
    import numpy as np

    from research.course.drawing import COLORS, curves

    left, right = figure.subplots(1, 2)
    for color, (variant, trained) in zip(COLORS, runs.items(), strict=False):
        found = np.array([gradients(run) for run in trained])
        left.plot(range(1, DEPTH + 1), found.T, "o-", color=color, markersize=3, linewidth=1)
        left.plot([], [], "o-", color=color, label=variant)
    left.set_yscale("log")
    left.set_xlabel("hidden layer, from the input to the output")
    left.set_title("norm of the gradient at step 10")
    left.grid(alpha=0.25)
    left.legend()
    curves(right, runs, "train", "loss")


LESSON = Lesson(
    title="The vanishing gradient",
    text=(
        "On its way back through a sigmoid a gradient is multiplied by a slope of at most 1/4, "
        "so that of ten layers the first ones hardly learn (Hochreiter 1991). The slope of ReLU "
        "is 1 where it is not 0 (Glorot, Bordes & Bengio 2011)."
    ),
    variants={SIGMOID: (), RELU: ("--config.model.activation=relu",)},
    judge=judge,
    draw=draw,
    measures={RATIO: ratio, "test accuracy": accuracy_on_test},
)
