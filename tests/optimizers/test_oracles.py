"""Optimizers against PyTorch's and those of the papers' authors, in float64."""

import numpy as np
import pytest

from research.optimizers import OPTIMIZERS
from research.optimizers.adagrad import AdaGrad
from research.optimizers.adam import Adam, AdamW
from research.optimizers.muon import Muon
from research.optimizers.rmsprop import RmsProp
from research.optimizers.schedule_free import ScheduleFreeAdam
from tests.optimizers.updates import (
    PENALISED,
    STEPS,
    assert_equal,
    gradients,
    largest_difference,
    parameters,
    trajectory,
)

torch = pytest.importorskip("torch", reason="the oracle is PyTorch")

LEARNING_RATE = 0.05


def follow(make_optimizer, weight_decay=0.0):
    """The parameters after each step of a PyTorch optimizer, as `trajectory`."""
    weights = {
        (layer, name): torch.nn.Parameter(torch.tensor(leaf))
        for layer, leaves in parameters().items()
        for name, leaf in leaves.items()
    }
    groups = [
        {"params": [w], "weight_decay": weight_decay * (name in PENALISED)}
        for (_, name), w in weights.items()
    ]
    optimizer, given = make_optimizer(groups), gradients()
    visited = {path: [] for path in weights}
    for step in range(STEPS):
        for (layer, name), w in weights.items():
            w.grad = torch.tensor(given[layer][name][step])
        optimizer.step()
        for path, w in weights.items():
            visited[path].append(w.detach().numpy().copy())
    return {
        layer: {name: np.stack(visited[layer, name]) for name in leaves}
        for layer, leaves in parameters().items()
    }


PYTORCH = {
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "adam": (torch.optim.Adam, {}),
    "rmsprop": (torch.optim.RMSprop, {"alpha": 0.9}),
}


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("name", PYTORCH)
def test_hundred_steps_equal_pytorch(name, l2):
    cls, options = PYTORCH[name]
    expected = follow(lambda groups: cls(groups, lr=LEARNING_RATE, **options), l2)
    assert_equal(trajectory(OPTIMIZERS[name](learning_rate=LEARNING_RATE, l2=l2)), expected)


def test_adamw_equals_pytorch_and_differs_from_adam_with_l2():
    decoupled = follow(lambda groups: torch.optim.AdamW(groups, lr=LEARNING_RATE), 0.1)
    found = trajectory(AdamW(learning_rate=LEARNING_RATE, weight_decay=0.1))
    assert_equal(found, decoupled)
    assert largest_difference(found, trajectory(Adam(learning_rate=LEARNING_RATE, l2=0.1))) > 1e-2


def test_rmsprop_with_momentum_equals_pytorch():
    expected = follow(
        lambda groups: torch.optim.RMSprop(groups, lr=LEARNING_RATE, alpha=0.8, momentum=0.7)
    )
    assert_equal(
        trajectory(RmsProp(learning_rate=LEARNING_RATE, decay=0.8, momentum=0.7)), expected
    )


def test_adagrad_equals_pytorch():
    expected = follow(
        lambda groups: torch.optim.Adagrad(
            groups, lr=LEARNING_RATE, initial_accumulator_value=0.3, eps=0.0
        )
    )
    # PyTorch's ε stands outside of the root; this one is lost in rounding.
    found = trajectory(AdaGrad(learning_rate=LEARNING_RATE, initial_accumulator=0.3, eps=1e-300))
    assert_equal(found, expected)


def test_radam_equals_pytorch():
    expected = follow(lambda groups: torch.optim.RAdam(groups, lr=LEARNING_RATE))
    found = trajectory(OPTIMIZERS["radam"](learning_rate=LEARNING_RATE))
    # PyTorch adds ε before the correction of v for its start, the paper has none.
    assert_equal(found, expected, atol=1e-7)


def test_muon_equals_pytorch(monkeypatch):
    # It orthogonalises in bfloat16, which would hide differences of some percent.
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)

    def make_optimizer(groups):
        # PyTorch's takes matrices alone.
        matrices = [group for group in groups if group["params"][0].ndim == 2]
        return torch.optim.Muon(matrices, lr=LEARNING_RATE, nesterov=False)

    # Updates know nothing of the weights. PyTorch's matrices are outputs × inputs,
    # so that its scale is 1 where it is √(4/3) for these 3 inputs and 4 outputs.
    start = parameters()["dense"]["kernel"]
    expected = (4 / 3) ** 0.5 * (follow(make_optimizer)["dense"]["kernel"] - start)
    found = trajectory(Muon(learning_rate=LEARNING_RATE, nesterov=False))["dense"]["kernel"]
    # The two add different ε to the norm before the iteration.
    np.testing.assert_allclose(found - start, expected, atol=1e-6)


def test_adabelief_equals_its_authors_program():
    package = pytest.importorskip("adabelief_pytorch", reason="the oracle is the authors' program")
    expected = follow(
        lambda groups: package.AdaBelief(
            groups,
            lr=LEARNING_RATE,
            eps=1e-8,
            rectify=False,
            weight_decouple=False,
            print_change_log=False,
        )
    )
    found = trajectory(OPTIMIZERS["adabelief"](learning_rate=LEARNING_RATE, eps=1e-8))
    assert_equal(found, expected)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_schedule_free_adam_equals_its_authors_program(weight_decay):
    package = pytest.importorskip("schedulefree", reason="the oracle is the authors' program")

    def make_optimizer(groups):
        optimizer = package.AdamWScheduleFree(groups, lr=LEARNING_RATE)
        optimizer.train()
        return optimizer

    expected = follow(make_optimizer, weight_decay)
    found = trajectory(ScheduleFreeAdam(learning_rate=LEARNING_RATE, weight_decay=weight_decay))
    assert_equal(found, expected)
