"""Values that hypothesis draws from: experiments with any valid options."""

from hypothesis import strategies as st

from research.data import DATASETS, TfdsImages
from research.data.digits import Digits
from research.data.folder import ImageFolder
from research.experiment import Checkpointing, Evaluation, Experiment, Logging
from research.models import activations
from research.models.base import COMPUTE_DTYPES
from research.models.cnn import HEADS, POOLINGS, Cnn
from research.models.mlp import Mlp
from research.optimizers import OPTIMIZERS
from research.optimizers.schedules import Constant, OneCycle, Step, WarmupCosine

SHARES = st.floats(0, 0.99)
POSITIVE = st.floats(1e-6, 1e3)
WIDTHS = st.lists(st.integers(1, 64), max_size=3).map(tuple)
SCHEDULES = st.one_of(
    st.builds(Constant),
    st.builds(WarmupCosine, warmup_fraction=SHARES, end_factor=st.floats(0, 1)),
    st.builds(
        Step,
        factor=POSITIVE,
        boundaries=st.sets(st.floats(0.01, 0.99), max_size=3).map(sorted).map(tuple),
    ),
    st.builds(OneCycle, warmup_fraction=st.floats(0.01, 0.99), start_factor=st.floats(0.01, 1)),
)
LAYER_OPTIONS = {
    "compute_dtype": st.sampled_from(COMPUTE_DTYPES),
    "widths": WIDTHS,
    "activation": st.sampled_from(activations.ACTIVATIONS),
    "initializer": st.sampled_from(("auto", *activations.INITIALIZERS)),
    "batch_norm": st.booleans(),
    "dropout_rate": SHARES,
}
MODELS = st.one_of(
    st.builds(Mlp, **LAYER_OPTIONS),
    st.builds(
        Cnn,
        **LAYER_OPTIONS,
        stages=st.lists(WIDTHS.filter(bool), min_size=1, max_size=3).map(tuple),
        kernel_size=st.integers(1, 7),
        pooling=st.sampled_from(POOLINGS),
        head=st.sampled_from(HEADS),
    ),
)
DATA = st.one_of(
    st.builds(Digits, split_seed=st.integers(0, 2**40)),
    st.builds(ImageFolder, data_dir=st.text(min_size=1), skip_bad=st.booleans()),
    st.builds(TfdsImages, name=st.text(min_size=1).filter(lambda name: name not in DATASETS)),
)
OPTIMIZER_OPTIONS = {
    "learning_rate": POSITIVE,
    "schedule": SCHEDULES,
    "l1": SHARES,
    "weight_decay": SHARES,
    "accumulate_steps": st.integers(1, 64),
    "ema_decay": SHARES,
}
EXPERIMENTS = st.builds(
    Experiment,
    name=st.text(),
    seed=st.integers(0, 2**32 - 1),
    epochs=POSITIVE,
    steps=st.integers(0, 2**40),
    data=DATA,
    model=MODELS,
    optimizer=st.one_of([st.builds(cls, **OPTIMIZER_OPTIONS) for cls in OPTIMIZERS.values()]),
    logging=st.builds(Logging, tensorboard=st.booleans()),
    evaluation=st.builds(Evaluation, every_epochs=POSITIVE),
    checkpoint=st.builds(Checkpointing, keep=st.integers(1, 9)),
)
