"""Imbalance: two of a hundred points are blue; SMOTE and focal loss keep them from being lost.

    python -m launch.course --lesson=imbalance
    python -m launch.train --config=configs/course/imbalance.py --workdir=runs/imbalance

The second trains on the points as they are: expect a recall of blue of about a half.
"""

from research.course.lesson import Lesson, larger
from research.data.playground import Playground
from research.experiment import Evaluation, Experiment, Logging
from research.models.mlp import Mlp
from research.objectives import SigmoidCrossEntropy
from research.optimizers.adam import Adam


def get_config() -> Experiment:
    return Experiment(
        name="imbalance",
        steps=1000,
        global_batch_size=64,
        data=Playground(
            problem="gauss", num_points=2000, noise=50, class_fractions=(("blue", 0.02),)
        ),
        model=Mlp(widths=(16,)),
        loss=SigmoidCrossEntropy(),
        optimizer=Adam(learning_rate=3e-3),
        logging=Logging(every_steps=50, tensorboard=False),
        evaluation=Evaluation(every_epochs=20),
    )


PLAIN, SMOTE, FOCAL = "as it is", "SMOTE", "focal loss"


def recall_of_blue(run):
    return run.summary["test"]["classes"]["blue"]["recall"]


def macro_f1(run):
    return run.summary["test"]["macro_f1"]


def judge(figures):
    return [
        larger(figures, method, PLAIN, measure, by)
        for method in (SMOTE, FOCAL)
        for measure, by in (("recall of blue", 0.2), ("mean F1", 0.1))
    ]


def draw(figure, runs):
    from research.course.drawing import dots, plane

    *planes, right = figure.subplots(1, 4)
    for axes, (name, trained) in zip(planes, runs.items(), strict=True):
        plane(axes, trained[0], name, reach=9)
    dots(right, {name: [recall_of_blue(run) for run in found] for name, found in runs.items()})
    right.set_title("recall of blue, by seed")


LESSON = Lesson(
    title="Classes of different sizes",
    text=(
        "Of blue there are 14 points to train on, of orange 700, and on test as many of one as "
        "of the other. Trained as it is, a network calls half of the blue ones orange: what is "
        "rare hardly counts. SMOTE (arXiv:1106.1813) adds made-up blue points between real ones "
        "until there are as many; focal loss (arXiv:1708.02002) looks at what is not well "
        "classified yet, here with a weight α of 0.98 for blue."
    ),
    variants={
        PLAIN: (),
        SMOTE: ("--config.data.balance=smote",),
        FOCAL: ("--config.loss.name=focal", "--config.loss.alpha=0.98"),
    },
    judge=judge,
    draw=draw,
    measures={"recall of blue": recall_of_blue, "mean F1": macro_f1},
    size=(10, 2.9),
)
