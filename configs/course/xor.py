"""XOR: a straight line can't, two layers can, and so can one neuron whose activation bends.

    python -m launch.course --lesson=xor
    python -m launch.train --config=configs/course/xor.py --workdir=runs/xor

The second trains the one linear neuron: expect a test accuracy of at most 0.75.
"""

from research.course.lesson import Check, Lesson, at_least, at_most
from research.data.logic import Logic
from research.experiment import Evaluation, Experiment, Logging
from research.models.perceptron import Perceptron
from research.objectives import SigmoidCrossEntropy
from research.optimizers.adam import Adam


def get_config() -> Experiment:
    return Experiment(
        name="xor",
        steps=500,
        global_batch_size=50,
        data=Logic(gate="xor"),
        model=Perceptron(),
        loss=SigmoidCrossEntropy(),
        optimizer=Adam(learning_rate=0.05),
        logging=Logging(every_steps=25, tensorboard=False),
        evaluation=Evaluation(every_epochs=25),
    )


LINE, LAYERS, GCU = "one linear neuron", "two layers", "one GCU neuron"


def judge(figures):
    solved = (figures[GCU]["test accuracy"] == 1).sum()
    return [
        at_most(figures, LINE, "test accuracy", 0.75),
        at_least(figures, LAYERS, "test accuracy", 1.0),
        Check(
            f"{GCU}: all corners right with 4 of 5 seeds",
            bool(solved >= 4),
            f"{solved} of {len(figures[GCU]['test accuracy'])}",
        ),
    ]


def draw(figure, runs):
    from research.course.drawing import plane

    for axes, (variant, trained) in zip(figure.subplots(1, 3), runs.items(), strict=True):
        best = max(trained, key=lambda run: run.summary["test"]["accuracy"])
        accuracy = best.summary["test"]["accuracy"]
        plane(axes, best, f"{variant}: {accuracy:.0%} right", reach=0.6)


LESSON = Lesson(
    title="XOR and the limits of one neuron",
    text=(
        "Of the four corners of XOR a straight line has at most three on their right sides "
        "(Minsky & Papert 1969): a neuron with a monotonous activation reaches 75% at most. A "
        "hidden layer folds the plane first. A neuron with z·cos z in place of a monotonous "
        "activation has several boundaries and needs no hidden layer (Noel et al. 2021, "
        "arXiv:2108.12943)."
    ),
    variants={
        LINE: (),
        LAYERS: (
            "--config.model.name=mlp",
            "--config.model.widths=(8,)",
            "--config.model.activation=tanh",
        ),
        GCU: ("--config.model.activation=gcu",),
    },
    judge=judge,
    draw=draw,
    seeds=5,
    size=(10, 3.5),
)
