"""Sparsity: L1 leaves weights that are exactly zero, L2 makes them small.

    python -m launch.course --lesson=sparsity
    python -m launch.train --config=configs/course/sparsity.py --workdir=runs/linear

The second trains a linear classifier of the digits without a penalty: expect a test
accuracy of about 0.95.
"""

from research.course.lesson import Lesson, accuracy_on_test, at_least, at_most
from research.experiment import Evaluation, Experiment, Logging
from research.models.perceptron import Perceptron
from research.optimizers.sgd import Sgd


def get_config() -> Experiment:
    return Experiment(
        name="sparsity",
        epochs=60,
        global_batch_size=64,
        model=Perceptron(),
        optimizer=Sgd(learning_rate=0.1),
        logging=Logging(every_steps=50, tensorboard=False),
        evaluation=Evaluation(every_epochs=15),
    )


PLAIN, L1, L2 = "no penalty", "L1, λ = 0.02", "L2, λ = 0.03"
ZEROS = "share of weights that are exactly 0"


def zeros(run):
    return (run.array("params/logits/kernel") == 0).mean()


def judge(figures):
    return [
        at_least(figures, L1, ZEROS, 0.5),
        at_most(figures, L2, ZEROS, 0.0),
        at_most(figures, PLAIN, ZEROS, 0.0),
        at_least(figures, L1, "test accuracy", 0.88),
    ]


def draw(figure, runs):
    import numpy as np

    names = (L1, L2)
    for row, name in zip(figure.subplots(len(names), 10), names, strict=True):
        weights = runs[name][0].array("params/logits/kernel").reshape(8, 8, 10)
        reach = np.abs(weights).max()
        for digit, axes in enumerate(row):
            axes.set_facecolor("#d5dae0")
            shown = np.ma.masked_equal(weights[..., digit], 0)
            axes.imshow(shown, cmap="RdBu", vmin=-reach, vmax=reach)
            axes.set(xticks=[], yticks=[])
            if name == L1:
                axes.set_title(str(digit), loc="center")
        row[0].set_ylabel(name)
    figure.supxlabel("weights of the pixels for each digit; grey is exactly 0", fontsize=9)


LESSON = Lesson(
    title="L1 leaves zeros",
    text=(
        "The penalty λ‖w‖₁ (the Lasso, Tibshirani 1996) pulls every weight towards 0 by the same "
        "amount, whatever its size, so that those of no use end at exactly 0; soft-thresholding "
        "after the step gets there. λ/2·‖w‖² pulls in proportion, and nothing gets there."
    ),
    variants={
        PLAIN: (),
        L1: ("--config.optimizer.l1=0.02",),
        L2: ("--config.optimizer.l2=0.03",),
    },
    judge=judge,
    draw=draw,
    measures={ZEROS: zeros, "test accuracy": accuracy_on_test},
    size=(10, 2.5),
)
