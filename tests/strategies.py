"""Values that hypothesis draws from: experiments with any valid options."""

from hypothesis import strategies as st

from research.data import DATASETS, TfdsImages
from research.data.base import BALANCES
from research.data.csv_table import Csv
from research.data.digits import Digits
from research.data.folder import ImageFolder
from research.data.logic import GATES, Logic
from research.data.plane import FEATURES
from research.data.playground import PROBLEMS, Playground
from research.experiment import Checkpointing, Evaluation, Experiment, Logging
from research.models.activations import ACTIVATIONS
from research.models.base import COMPUTE_DTYPES
from research.models.cnn import HEADS, POOLINGS, Cnn
from research.models.initializers import INITIALIZERS
from research.models.mlp import Mlp
from research.models.perceptron import Perceptron
from research.models.resnet import DEPTHS, STEMS, ResNet
from research.objectives import LOSSES
from research.optimizers import OPTIMIZERS
from research.optimizers.schedules import (
    Constant,
    InverseSqrt,
    OneCycle,
    Step,
    WarmupCosine,
)

SHARES = st.floats(0, 0.99)
POSITIVE = st.floats(1e-6, 1e3)
WIDTHS = st.lists(st.integers(1, 64), max_size=3).map(tuple)
SCHEDULES = st.one_of(
    st.builds(Constant),
    st.builds(InverseSqrt, warmup_fraction=SHARES),
    st.builds(WarmupCosine, warmup_fraction=SHARES, end_factor=st.floats(0, 1)),
    st.builds(
        Step,
        factor=POSITIVE,
        boundaries=st.sets(st.floats(0.01, 0.99), max_size=3).map(sorted).map(tuple),
    ),
    st.builds(OneCycle, warmup_fraction=st.floats(0.01, 0.99), start_factor=st.floats(0.01, 1)),
)
NEURON_OPTIONS = {
    "compute_dtype": st.sampled_from(COMPUTE_DTYPES),
    "activation": st.sampled_from(tuple(ACTIVATIONS)),
    "initializer": st.sampled_from(("auto", *INITIALIZERS)),
}
LAYER_OPTIONS = {**NEURON_OPTIONS, "batch_norm": st.booleans()}
DENSE_OPTIONS = {**LAYER_OPTIONS, "widths": WIDTHS, "dropout_rate": SHARES}
MODELS = st.one_of(
    st.builds(Perceptron, **NEURON_OPTIONS),
    st.builds(Mlp, **DENSE_OPTIONS),
    st.builds(
        ResNet,
        **LAYER_OPTIONS,
        depth=st.sampled_from(tuple(DEPTHS)),
        stem=st.sampled_from(STEMS),
    ),
    st.builds(
        Cnn,
        **DENSE_OPTIONS,
        stages=st.lists(WIDTHS.filter(bool), min_size=1, max_size=3).map(tuple),
        kernel_size=st.integers(1, 7),
        pooling=st.sampled_from(POOLINGS),
        head=st.sampled_from(HEADS),
    ),
)
LOSS = st.one_of(
    [st.builds(cls, class_weights=st.sampled_from([(), (1.0, 2.5)])) for cls in LOSSES.values()]
)
DATA = st.one_of(
    st.builds(Digits, split_seed=st.integers(0, 2**40), balance=st.sampled_from(BALANCES[:2])),
    st.builds(
        Playground,
        problem=st.sampled_from(PROBLEMS),
        features=st.sets(st.sampled_from(FEATURES), min_size=1).map(sorted).map(tuple),
        noise=st.floats(0, 50),
        balance=st.sampled_from(BALANCES),
        train_fraction=st.floats(0.1, 1),
        class_fractions=st.sampled_from([(), (("blue", 0.5),)]),
    ),
    st.builds(Logic, gate=st.sampled_from(tuple(GATES)), noise=st.floats(0.01, 0.49)),
    st.builds(
        Csv,
        path=st.text(min_size=1),
        ignored=st.lists(st.text()).map(tuple).filter(lambda names: "label" not in names),
    ),
    st.builds(ImageFolder, data_dir=st.text(min_size=1), skip_bad=st.booleans()),
    st.builds(TfdsImages, name=st.text(min_size=1).filter(lambda name: name not in DATASETS)),
)
OPTIMIZER_OPTIONS = {
    "learning_rate": POSITIVE,
    "schedule": SCHEDULES,
    "weight_decay": SHARES,
    "accumulate_steps": st.integers(1, 64),
    "sam_radius": SHARES,
    "freeze": st.sampled_from([(), ("conv_",), ("bias$", "dense_[01]/")]),
    "learning_rate_factors": st.lists(st.tuples(st.just("kernel"), POSITIVE), max_size=2).map(
        tuple
    ),
}
AVERAGING = [name for name, cls in OPTIMIZERS.items() if cls().averages]
OPTIMIZER = st.one_of(
    [st.builds(OPTIMIZERS[name], **OPTIMIZER_OPTIONS) for name in AVERAGING]
    + [
        st.builds(OPTIMIZERS[name], **OPTIMIZER_OPTIONS, **more)
        for name in OPTIMIZERS
        if name not in AVERAGING
        for more in ({"l1": SHARES, "ema_decay": SHARES}, {"lookahead_steps": st.integers(0, 9)})
    ]
)
EXPERIMENTS = st.builds(
    Experiment,
    name=st.text(),
    seed=st.integers(0, 2**32 - 1),
    epochs=POSITIVE,
    steps=st.integers(0, 2**40),
    data=DATA,
    model=MODELS,
    loss=LOSS,
    optimizer=OPTIMIZER,
    logging=st.builds(Logging, tensorboard=st.booleans()),
    evaluation=st.builds(Evaluation, every_epochs=POSITIVE),
    checkpoint=st.builds(Checkpointing, keep=st.integers(1, 9)),
).filter(lambda chosen: not chosen.loss.class_weights or chosen.data.balance != "weights")
