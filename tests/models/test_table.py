"""The table of a model's layers."""

import jax
import jax.numpy as jnp
import pytest

from research.models.cnn import Cnn
from research.models.mlp import Mlp
from research.models.network import network
from research.models.table import COLUMNS, layers_of, table_of_layers

MLP = Mlp(widths=(16,))
CNN = Cnn(stages=((4,), (8,)), widths=(16,))


@pytest.fixture(scope="module")
def of_cnn():
    return {layer.name: layer for layer in layers_of(CNN, 10, (8, 8, 1))}


def test_layers_stand_in_the_order_in_which_they_are_called(of_cnn):
    assert {name: (layer.kind, layer.output) for name, layer in of_cnn.items()} == {
        "conv_0_0": ("Conv", (8, 8, 4)),
        "conv_0_0_norm": ("BatchNorm", (8, 8, 4)),
        "conv_1_0": ("Conv", (4, 4, 8)),
        "conv_1_0_norm": ("BatchNorm", (4, 4, 8)),
        "dense_0": ("Dense", (16,)),
        "dense_0_norm": ("BatchNorm", (16,)),
        "logits": ("Dense", (10,)),
    }
    assert list(of_cnn)[0] == "conv_0_0" and list(of_cnn)[-1] == "logits"


def test_parameters_and_bytes_follow_from_the_shapes(of_cnn):
    assert {name: layer.parameters for name, layer in of_cnn.items()} == {
        "conv_0_0": 9 * 1 * 4,
        "conv_0_0_norm": 2 * 4,
        "conv_1_0": 9 * 4 * 8,
        "conv_1_0_norm": 2 * 8,
        "dense_0": 2 * 2 * 8 * 16,
        "dense_0_norm": 2 * 16,
        "logits": 16 * 10 + 10,
    }
    for layer in of_cnn.values():
        statistics = layer.parameters if layer.kind == "BatchNorm" else 0
        assert layer.bytes == 4 * (layer.parameters + statistics)


def test_parameters_of_all_layers_are_those_of_the_model(of_cnn):
    variables = jax.eval_shape(network(CNN, 10).init, jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    total = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert sum(layer.parameters for layer in of_cnn.values()) == total


def test_flops_of_a_dense_layer_are_its_multiplications_and_additions():
    first, last = layers_of(MLP, 10, (8, 8, 1))
    for layer, inputs, outputs in ((first, 64, 16), (last, 16, 10)):
        product = 2 * inputs * outputs
        assert layer.forward_flops == product + outputs
        # Backwards a product for the kernel's gradient, and one for the input's.
        assert layer.backward_flops == pytest.approx(2 * product, rel=0.05)


def test_table_shows_columns_layers_and_totals():
    lines = table_of_layers(MLP, 10, (8, 8, 1)).split("\n")
    assert [column.strip() for column in lines[0].split("  ") if column] == list(COLUMNS)
    assert lines[2].split() == ["input", "8×8×1"]
    assert lines[3].split()[:5] == ["dense_0", "Dense", "16", "1,040", "4,160"]
    assert lines[4].split()[:5] == ["logits", "Dense", "10", "170", "680"]
    assert lines[-1].split()[:3] == ["total", "1,210", "4,840"]
