"""Pooling, which a CPU gets in another form, against Flax's own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from research.models.pooling import avg_pool, max_pool


@functools.partial(jax.jit, static_argnums=0)
def outputs(pool, x):
    """The pooled images, and the gradient for some gradient of them."""
    y, gradient = jax.vjp(pool, x)
    return y, gradient(jnp.sin(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))[0]


@pytest.mark.parametrize("values", [1, 3, 1000])
@pytest.mark.parametrize(("height", "width", "size"), [(4, 6, 2), (7, 5, 2), (9, 8, 3), (3, 4, 1)])
@pytest.mark.parametrize(
    ("ours", "native"), [(max_pool, nn.max_pool), (avg_pool, nn.avg_pool)], ids=["max", "average"]
)
def test_pooling_and_its_gradient_equal_the_native_ones_also_where_pixels_are_equal(
    ours, native, height, width, size, values
):
    x = np.random.default_rng(0).integers(values, size=(2, height, width, 3)).astype(np.float32)
    found = outputs(lambda x: ours(x, size), x)
    expected = outputs(lambda x: native(x, (size, size), (size, size)), x)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_maximum_of_a_window_with_nan_is_nan():
    for place in range(4):
        x = np.ones((1, 2, 2, 1), np.float32)
        x.flat[place] = np.nan
        assert np.isnan(max_pool(x, 2)).all()


def test_many_models_at_once_pool_as_each_alone():
    x = np.random.default_rng(0).normal(size=(3, 2, 5, 6, 3)).astype(np.float32)
    run = functools.partial(outputs, lambda x: max_pool(x, 2))
    for index, pooled in enumerate(zip(*jax.vmap(run)(x), strict=True)):
        jax.tree.map(np.testing.assert_array_equal, pooled, run(x[index]))
