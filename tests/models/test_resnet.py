"""Residual networks: published sizes, and a block against PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.models.network import network
from research.models.resnet import ResNet

IMAGES = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype(np.float32)


def shapes(model, num_classes, input_shape):
    net = network(model, num_classes)
    return jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, *input_shape)))


@pytest.mark.parametrize(
    ("depth", "stem", "num_classes", "size", "parameters"),
    [
        # He et al. 2016, table 6, has 0.27, 0.46, 0.66, 0.85 and 1.7 million.
        (20, "small", 10, 32, 269_722),
        (32, "small", 10, 32, 464_154),
        (44, "small", 10, 32, 658_586),
        (56, "small", 10, 32, 853_018),
        (110, "small", 10, 32, 1_727_962),
        # The ImageNet models that PyTorch ships.
        (18, "large", 1000, 224, 11_689_512),
        (34, "large", 1000, 224, 21_797_672),
        # Depth 18 on CIFAR-10, as it is commonly trained there.
        (18, "small", 10, 32, 11_173_962),
    ],
)
def test_number_of_parameters_is_the_published_one(depth, stem, num_classes, size, parameters):
    params = shapes(ResNet(depth=depth, stem=stem), num_classes, (size, size, 3))["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == parameters


@pytest.mark.parametrize("depth", [18, 20, 56, 110])
def test_depth_counts_convolutions_on_the_main_path_and_the_last_layer(depth):
    params = shapes(ResNet(depth=depth), 10, (32, 32, 3))["params"]
    layers = [name for name, leaves in params.items() if "kernel" in leaves]
    assert len([name for name in layers if not name.endswith("shortcut")]) == depth


def test_small_images_keep_a_pixel():
    for model in (ResNet(depth=20), ResNet(depth=18), ResNet(depth=18, stem="large")):
        net = network(model, 3)
        for size in (1, 5):
            x = jnp.zeros((1, size, size, 1))
            logits = jax.eval_shape(
                lambda net=net, x=x: net.apply(net.init(jax.random.key(0), x), x)
            )
            assert logits.shape == (1, 3)


@pytest.mark.parametrize(("depth", "stem", "train"), [(20, "small", True), (18, "large", False)])
def test_network_equals_pytorch(depth, stem, train):
    torch = pytest.importorskip("torch", reason="the oracle is PyTorch")
    functional = torch.nn.functional
    net = network(ResNet(depth=depth, stem=stem), 4)
    variables = jax.jit(net.init)(jax.random.key(0), IMAGES)
    params = jax.tree.map(lambda leaf: torch.tensor(np.asarray(leaf)), variables["params"])
    running = {}

    def convolution(x, name, stride=1):
        kernel = params[name]["kernel"].permute(3, 2, 0, 1)
        x = functional.conv2d(x, kernel, stride=stride, padding=(kernel.shape[-1] - 1) // 2)
        norm = params[f"{name}_norm"]
        mean, var = torch.zeros(len(kernel)), torch.ones(len(kernel))
        running[f"{name}_norm"] = mean
        return functional.batch_norm(x, mean, var, norm["scale"], norm["bias"], training=train)

    def block(x, name, stride):
        y = functional.relu(convolution(x, f"{name}_conv_0", stride))
        y = convolution(y, f"{name}_conv_1")
        if f"{name}_shortcut" in params:
            x = convolution(x, f"{name}_shortcut", stride)
        elif stride > 1:
            x = x[:, :, ::2, ::2]
            x = functional.pad(x, (0, 0, 0, 0, x.shape[1] // 2, x.shape[1] // 2))
        return functional.relu(x + y)

    x = torch.tensor(IMAGES).permute(0, 3, 1, 2)
    x = functional.relu(convolution(x, "stem", 2 if stem == "large" else 1))
    if stem == "large":
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
    for name in dict.fromkeys(name.split("_conv")[0] for name in params if "_conv_" in name):
        _, stage, index = name.split("_")
        x = block(x, name, 2 if int(stage) > 0 and index == "0" else 1)
    x = x.mean(dim=(2, 3)) @ params["logits"]["kernel"] + params["logits"]["bias"]

    key = jax.random.key(0) if train else None
    found = jax.jit(lambda v: net.apply(v, IMAGES, train=train, dropout_key=key))(variables)
    logits, statistics = found if train else (found, {})
    np.testing.assert_allclose(logits, x, atol=2e-4)
    for name, leaves in statistics.items():
        np.testing.assert_allclose(leaves["mean"], running[name], atol=1e-4)


def test_table_is_refused():
    with pytest.raises(UserError, match=r"'resnet' takes images .* the shape \(13,\)\. Use a mod"):
        ResNet().check_input((13,))
