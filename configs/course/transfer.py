"""Transfer: layers that learned from CIFAR-10's animals, put to use on its vehicles.

    python -m launch.prepare_data --dataset=cifar10
    python -m launch.course --lesson=transfer
    python -m launch.train --config=configs/course/transfer.py --workdir=runs/vehicles

The last trains on 180 images of vehicles from scratch: expect a test accuracy of about
0.53. The images are scaled to 16×16 pixels, for a laptop's CPU.
"""

from research.course.lesson import Lesson, accuracy_on_test, larger, loss_on_test
from research.data import TfdsImages
from research.experiment import Evaluation, Experiment, Logging
from research.models.cnn import Cnn
from research.optimizers.adam import Adam

ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")
VEHICLES = ("airplane", "automobile", "ship", "truck")


def get_config() -> Experiment:
    return Experiment(
        name="transfer",
        steps=150,
        global_batch_size=60,
        data=TfdsImages(name="cifar10", image_size=(16, 16), classes=VEHICLES, train_fraction=0.01),
        model=Cnn(stages=((32,), (64,), (64,)), widths=(64,), dropout_rate=0.5),
        optimizer=Adam(learning_rate=1e-3),
        logging=Logging(every_steps=10, tensorboard=False),
        evaluation=Evaluation(every_epochs=25),
    )


SOURCE, SCRATCH = "animals", "vehicles from scratch"
KEPT, TUNED = "vehicles, layers kept", "vehicles, layers tuned"
TRANSFER = ("--config.init_from={animals}", "--config.transfer.until=dense_0")


def judge(figures):
    return [
        larger(figures, SCRATCH, KEPT, "test loss", by=0.05),
        larger(figures, SCRATCH, TUNED, "test loss", by=0.05),
        larger(figures, TUNED, SCRATCH, "test accuracy"),
    ]


def draw(figure, runs):
    from research.course.drawing import curves, dots

    left, middle, right = figure.subplots(1, 3)
    vehicles = {name.split(" ", 1)[1]: runs[name] for name in (SCRATCH, KEPT, TUNED)}
    curves(left, vehicles, "train", "loss")
    left.legend()
    for axes, measure, title in (
        (middle, accuracy_on_test, "accuracy"),
        (right, loss_on_test, "loss"),
    ):
        dots(axes, {name: list(map(measure, trained)) for name, trained in vehicles.items()})
        axes.set_title(f"{title} on test, by seed")


LESSON = Lesson(
    title="Transfer: from animals to vehicles",
    text=(
        "A network learns from 16,200 images of CIFAR-10's six animals. Its convolutions then "
        "begin a second one, for the four vehicles, of which there are 180 images: kept as they "
        "are, or tuned at a tenth of the head's learning rate. Edges and textures are the same "
        "in both worlds (Yosinski et al. 2014, arXiv:1411.1792)."
    ),
    variants={
        SOURCE: (
            f"--config.data.classes={ANIMALS}",
            "--config.data.train_fraction=0.6",
            "--config.steps=1200",
            "--config.augmentation.flip",
            "--config.optimizer.learning_rate=0.003",
            "--config.optimizer.schedule.name=one_cycle",
            "--config.logging.every_steps=50",
            "--config.evaluation.every_epochs=2",
        ),
        SCRATCH: (),
        KEPT: (*TRANSFER, "--config.optimizer.freeze=('^conv_',)"),
        TUNED: (*TRANSFER, "--config.optimizer.learning_rate_factors=(('^conv_',0.1),)"),
    },
    judge=judge,
    draw=draw,
    measures={"test accuracy": accuracy_on_test, "test loss": loss_on_test},
)
