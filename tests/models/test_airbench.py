"""The network of airbench94: its size, what its layers do, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.models import MODELS
from research.models.airbench import Airbench
from research.models.mlp import Mlp
from research.models.network import network
from research.optimizers.chain import make_chain
from research.optimizers.sgd import Sgd
from research.records import check
from research.state import init_state
from tests import tiny

IMAGES = np.random.default_rng(0).normal(size=(6, 9, 12, 3)).astype(np.float32)
SMALL = Airbench(widths=(5, 30), activation="relu")


@pytest.fixture(scope="module")
def variables():
    return jax.jit(network(SMALL, 4).init)(jax.random.key(0), IMAGES)


def test_it_can_be_chosen_by_its_name():
    assert MODELS["airbench"] is Airbench


def test_number_of_parameters_is_the_published_one():
    net = network(Airbench(), 10)
    params = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))["params"]
    stem = 2 * 2 * 3 * 24 + 24
    blocks = [9 * (n * width + width * width) + 2 * width
              for n, width in ((24, 64), (64, 256), (256, 256))]  # fmt: skip
    # The paper says 1.97 million.
    assert stem + sum(blocks) + 256 * 10 == 1_971_640
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 1_971_640


def test_blocks_have_no_bias_but_that_of_batch_norm_and_no_scale(variables):
    names = {name: set(leaves) for name, leaves in variables["params"].items()}
    assert names.pop("stem") == {"kernel", "bias"} and names.pop("logits") == {"kernel"}
    for name, leaves in names.items():
        assert leaves == ({"bias"} if name.endswith("_norm") else {"kernel"})


def test_network_equals_its_formula_in_numpy(variables):
    generator = np.random.default_rng(1)
    params = jax.tree.map(
        lambda leaf: generator.normal(size=leaf.shape).astype(np.float32), variables["params"]
    )
    statistics = jax.tree.map(
        lambda leaf: generator.uniform(1, 2, leaf.shape).astype(np.float32),
        variables["batch_stats"],
    )

    def convolve(x, kernel, padding):
        x = np.pad(x, ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(1, 2))
        return np.einsum("nhwcij,ijcf->nhwf", windows, kernel)

    x = convolve(IMAGES.astype(np.float64), params["stem"]["kernel"], 0) + params["stem"]["bias"]
    x = np.maximum(x, 0)
    for block in range(2):
        for index in range(2):
            name = f"block_{block}_conv_{index}"
            x = convolve(x, params[name]["kernel"], 1)
            if index == 0:
                rows, columns = x.shape[1] // 2, x.shape[2] // 2
                x = x[:, : 2 * rows, : 2 * columns]
                x = x.reshape(len(x), rows, 2, columns, 2, -1).max(axis=(2, 4))
            norm = statistics[f"{name}_norm"]
            x = (x - norm["mean"]) / np.sqrt(norm["var"] + 1e-5) + params[f"{name}_norm"]["bias"]
            x = np.maximum(x, 0)
    expected = x.max(axis=(1, 2)) @ params["logits"]["kernel"] / 9

    found = network(SMALL, 4).apply({"params": params, "batch_stats": statistics}, IMAGES)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_running_statistics_keep_six_tenths_at_a_step(variables):
    net = network(SMALL, 4)

    @jax.jit
    def statistics_after(batch_stats):
        given = {**variables, "batch_stats": batch_stats}
        return net.apply(given, IMAGES, train=True, dropout_key=jax.random.key(1))[1]

    # Means begin at 0: a step goes to 0.4 of the batch's, the next one to 0.4 + 0.6·0.4.
    first = statistics_after(variables["batch_stats"])
    second = statistics_after(first)
    for name in first:
        np.testing.assert_allclose(second[name]["mean"], 1.6 * first[name]["mean"], rtol=1e-4)


def test_smallest_image_leaves_a_pixel_and_a_smaller_one_is_refused():
    model = Airbench()
    model.check_input((9, 40, 3))
    net = network(model, 10)
    x = jnp.zeros((2, 9, 40, 3))
    assert jax.eval_shape(lambda: net.apply(net.init(jax.random.key(0), x), x)).shape == (2, 10)
    with pytest.raises(UserError, match="8×40 pixels are too small: 3 blocks need at least 9×9"):
        model.check_input((8, 40, 3))


def test_table_is_refused():
    with pytest.raises(UserError, match=r"'airbench' takes images .* the shape \(13,\)"):
        Airbench().check_input((13,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": ()}, "widths: needs at least one block"),
        ({"widths": (8, 0)}, "widths: must be positive"),
        ({"logit_scale": 0.0}, "logit_scale: must be positive"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        check(Airbench(**options))


def test_only_a_model_that_whitens_asks_the_data():
    data = tiny.dataset()
    assert Airbench(whiten=False).from_data(data) == {} == Mlp().from_data(data)
    assert Airbench().from_data(data).keys() == {"stem/kernel"}


def test_kernel_of_another_shape_is_refused_rather_than_taken():
    model = Airbench(widths=(3,))
    net, chain = network(model, 3), make_chain(Sgd(), 1)

    def begin(given):
        normalization = tiny.normalization()
        return jax.eval_shape(
            lambda: init_state(net, chain, 0, tiny.IMAGE_SHAPE, normalization, False, given)
        )

    assert begin({"stem/kernel": np.zeros((2, 2, 1, 8), np.float32)}).params
    for given in (
        {"stem/kernel": np.zeros((2, 2, 3, 8))},
        {"steam/kernel": np.zeros((2, 2, 1, 8))},
    ):
        with pytest.raises(ValueError, match="no parameters .*kernel.* of the shapes"):
            begin(given)
