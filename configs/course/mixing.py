"""Mixup and CutMix on CIFAR-10: pairs of images, and labels with shares of both.

    python -m launch.prepare_data --dataset=cifar10
    python -m launch.course --lesson=mixing
    python -m launch.train --config=configs/course/mixing.py --workdir=runs/unmixed

The last trains without them: expect a training accuracy of 1, and 0.52 on test. The
images are scaled to 16×16 pixels and only a tenth is trained on, for a laptop's CPU.
"""

from research.course.lesson import Lesson, accuracy_on_test, larger, loss_on_test
from research.data import TfdsImages
from research.experiment import Evaluation, Experiment, Logging
from research.models.cnn import Cnn
from research.optimizers.adam import Adam
from research.optimizers.schedules import OneCycle


def get_config() -> Experiment:
    return Experiment(
        name="mixing",
        epochs=20,
        global_batch_size=64,
        data=TfdsImages(name="cifar10", image_size=(16, 16), train_fraction=0.1),
        model=Cnn(stages=((32,), (64,)), widths=(128,)),
        optimizer=Adam(learning_rate=3e-3, schedule=OneCycle()),
        logging=Logging(every_steps=20, tensorboard=False),
        evaluation=Evaluation(every_epochs=4),
    )


PLAIN, MIXUP, CUTMIX = "images as they are", "mixup", "CutMix"


def judge(figures):
    return [
        check
        for method in (MIXUP, CUTMIX)
        for check in (
            larger(figures, PLAIN, method, "test loss", by=0.3),
            larger(figures, method, PLAIN, "test accuracy"),
        )
    ]


def draw(figure, runs):
    from research.course.drawing import curves

    left, middle, right = figure.subplots(1, 3)
    curves(left, runs, "train", "loss")
    curves(middle, runs, "validation", "loss")
    middle.legend()
    curves(right, runs, "validation", "accuracy")


LESSON = Lesson(
    title="Mixup and CutMix",
    text=(
        "Mixup (arXiv:1710.09412) averages two images and their labels, CutMix "
        "(arXiv:1905.04899) pastes a part of one into the other and shares the label by area. "
        "Neither can be learned by heart: the training loss stays high, and on images that were "
        "not seen the network is right more often and less sure of itself where it is wrong. "
        "4,500 images of CIFAR-10, scaled to 16×16 pixels, are trained on."
    ),
    variants={
        PLAIN: (),
        MIXUP: ("--config.augmentation.mixup=1.0",),
        CUTMIX: ("--config.augmentation.cutmix=1.0",),
    },
    judge=judge,
    draw=draw,
    measures={"test accuracy": accuracy_on_test, "test loss": loss_on_test},
)
