"""The plain convolutional network."""

import jax
import numpy as np
import pytest
from scipy.signal import correlate2d

from research.errors import UserError
from research.models.cnn import Cnn
from research.models.network import network

IMAGES = np.random.default_rng(0).normal(size=(2, 9, 6, 3)).astype(np.float32)


def shapes_of(model, images=IMAGES, num_classes=4):
    net = network(model, num_classes)
    variables = jax.eval_shape(net.init, jax.random.key(0), images)
    return {
        name: tuple(layer["kernel"].shape)
        for name, layer in variables["params"].items()
        if "kernel" in layer
    }


def test_stages_hold_their_convolutions_and_the_head_its_dense_layers():
    model = Cnn(stages=((5, 6), (7,)), kernel_size=3, widths=(11,))
    assert shapes_of(model) == {
        "conv_0_0": (3, 3, 3, 5),
        "conv_0_1": (3, 3, 5, 6),
        "conv_1_0": (3, 3, 6, 7),
        "dense_0": (2 * 1 * 7, 11),  # 9×6 pixels, halved twice
        "logits": (11, 4),
    }


def test_global_average_leaves_one_number_a_channel():
    model = Cnn(stages=((5,), (7,)), head="global_average", widths=())
    assert shapes_of(model)["logits"] == (7, 4)


def test_pooling_by_one_keeps_all_pixels():
    model = Cnn(stages=((5,), (7,)), pool_size=1, widths=())
    assert shapes_of(model)["logits"] == (9 * 6 * 7, 4)


@pytest.mark.parametrize("head", ["flatten", "global_average"])
def test_cnn_is_convolution_activation_pooling_and_linear_head(head):
    model = Cnn(
        stages=((2,),), batch_norm=False, widths=(), head=head, pooling="average", pool_size=3
    )
    net = network(model, 4)
    variables = net.init(jax.random.key(0), IMAGES)
    params = variables["params"]
    x = np.zeros((2, 9, 6, 2))
    for image, channel, feature in np.ndindex(2, 3, 2):
        kernel = params["conv_0_0"]["kernel"][:, :, channel, feature]
        x[image, :, :, feature] += correlate2d(IMAGES[image, :, :, channel], kernel, "same")
    x = np.maximum(x + params["conv_0_0"]["bias"], 0)
    x = x.reshape(2, 3, 3, 2, 3, 2).mean(axis=(2, 4))
    x = x.reshape(2, -1) if head == "flatten" else x.mean(axis=(1, 2))
    expected = x @ params["logits"]["kernel"] + params["logits"]["bias"]
    np.testing.assert_allclose(net.apply(variables, IMAGES), expected, atol=1e-5)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_number_of_parameters_follows_from_channels_and_widths(batch_norm):
    model = Cnn(stages=((5, 6), (7,)), kernel_size=3, widths=(11,), batch_norm=batch_norm)
    net = network(model, 4)
    params = jax.eval_shape(net.init, jax.random.key(0), IMAGES)["params"]
    kernels = 9 * (3 * 5 + 5 * 6 + 6 * 7) + 14 * 11 + 11 * 4
    # A bias a channel or unit; or a scale and an offset, but for the logits a bias.
    offsets = (5 + 6 + 7 + 11) * (2 if batch_norm else 1) + 4
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == kernels + offsets


@pytest.mark.parametrize(("size", "stages"), [((4, 4), 2), ((7, 5), 2), ((8, 100), 3), ((1, 1), 0)])
def test_smallest_image_leaves_one_pixel_after_the_last_stage(size, stages):
    model = Cnn(stages=((2,),) * max(1, stages), pool_size=2 if stages else 1)
    model.check_input((*size, 1))
    shapes = shapes_of(model, np.zeros((1, *size, 1)))
    assert all(min(shape) >= 1 for shape in shapes.values())


@pytest.mark.parametrize("size", [(3, 8), (8, 3)])
def test_image_that_pooling_would_use_up_is_refused(size):
    with pytest.raises(UserError) as error:
        Cnn(stages=((2,), (2,))).check_input((*size, 1))
    height, width = size
    assert str(error.value) == (
        f"config.model.stages: images of {height}×{width} pixels are too small: 2 stages with "
        "pooling by 2 need at least 4×4. Use fewer stages, a smaller config.model.pool_size or "
        "a larger config.data.image_size"
    )


def test_table_is_refused():
    with pytest.raises(UserError) as error:
        Cnn().check_input((13,))
    assert str(error.value) == (
        "config.model.name: 'cnn' takes images of (height, width, channels), and each input of "
        "the data has the shape (13,). Use a model without convolutions, such as 'mlp'"
    )
