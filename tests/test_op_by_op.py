"""Operations watched one by one: the same results, and the first that is not finite by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from research.op_by_op import first_nonfinite

X = jnp.linspace(0.5, 2.0, 6).reshape(2, 3)


@jax.custom_jvp
def doubled(x):
    return 2 * x


doubled.defjvp(lambda primals, tangents: (doubled(*primals), 2 * tangents[0]))


@jax.custom_vjp
def clipped(x):
    return x


clipped.defvjp(lambda x: (x, None), lambda _, g: (jnp.clip(g, -1, 1),))


FUNCTIONS = {
    "nested calls": lambda x: jax.jit(lambda y: jax.jit(jnp.sin)(y) + y)(x),
    "scan": lambda x: jax.lax.scan(lambda c, row: (c + row, c * row), x[0], x),
    "scan backwards": lambda x: jax.lax.scan(lambda c, r: (c + r, c * r), x[0], x, reverse=True),
    "while": lambda x: jax.lax.while_loop(lambda y: y.sum() < 50, lambda y: y * x, x + 1),
    "cond": lambda x: jax.lax.cond(x.sum() > 1, jnp.exp, jnp.log, x),
    "switch": lambda x: jax.lax.switch(7, [jnp.exp, jnp.log, jnp.sqrt], x),
    "checkpoint": jax.grad(lambda x: jax.checkpoint(jnp.sin)(x).sum()),
    "custom derivatives": lambda x: (doubled(x), clipped(x)),
    "gradients of them": jax.grad(lambda x: (doubled(x) ** 2 + 5 * clipped(x)).sum()),
    "random numbers": lambda x: x * jax.random.bernoulli(jax.random.key(0), 0.5, x.shape),
    "a constant": lambda x: (x, 3.0, jnp.arange(3)),
    "the same argument twice": lambda x: x * x,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_are_those_of_the_function(name):
    found, findings = first_nonfinite(FUNCTIONS[name], X)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, FUNCTIONS[name](X)
    )
    assert findings == []


class Block(nn.Module):
    """Divides by the smallest input, which may be 0."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(4, use_bias=False, name="widen")(x) / jnp.min(x)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return Block(name="block")(nn.relu(x))


def loss(params, x):
    return Net().apply(params, x).mean()


def test_the_layer_is_named_with_its_module_path():
    params = {"params": {"block": {"widen": {"kernel": jnp.ones((3, 4))}}}}
    _, (infinity, nan) = first_nonfinite(jax.value_and_grad(loss), params, X.at[0, 0].set(-1))
    assert (infinity.kind, infinity.operation, infinity.part) == ("infinity", "div", "layer block")
    assert not infinity.backward and "test_op_by_op.py" in infinity.source
    assert infinity.result == "float32[2,4] without a finite element; 8 of 8 elements"
    assert infinity.operands == ("float32[2,4] from 1.9 to 5.1", "float32[] from 0 to 0")
    assert str(infinity).startswith("first infinity: div in layer block (forward), ")
    assert (nan.kind, nan.part, nan.backward) == ("NaN", "layer block/widen", True)


def test_what_the_gradient_alone_breaks_is_named_as_backward():
    def scaled(x):
        with jax.named_scope("loss"):
            return (1e30 * (1e-30 * x)).sum()

    _, (finding,) = first_nonfinite(jax.grad(lambda x: 1e30 * scaled(x)), X / 1e9)
    assert (finding.kind, finding.part, finding.backward) == ("infinity", "the loss", True)


def test_loops_and_branches_do_not_hide_the_operation():
    def step(x, _):
        return jax.lax.cond(x >= 0, jnp.log, jnp.negative, x), None

    (last, _), (finding,) = first_nonfinite(
        lambda x: jax.lax.scan(step, x, length=3), jnp.float32(1)
    )
    assert last == np.inf and (finding.kind, finding.operation) == ("infinity", "log")


def test_each_kind_is_reported_once_in_the_order_of_their_coming():
    _, findings = first_nonfinite(lambda x: (jnp.log(-x), jnp.log(0 * x), jnp.log(-x)), X)
    assert [finding.kind for finding in findings] == ["NaN", "infinity"]
