"""Runs an optimizer's chain in float64, beside transcriptions in numpy."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from research.optimizers import Optimizer
from research.optimizers.chain import make_chain

STEPS = 100
PENALISED = ("kernel",)

Tree = dict[str, dict[str, np.ndarray]]


def parameters() -> Tree:
    """Parameters of a layer and of a normalisation, float64."""
    generator = np.random.default_rng(0)
    return {
        "dense": {"kernel": generator.normal(size=(3, 4)), "bias": generator.normal(size=4)},
        "norm": {"scale": generator.normal(size=4), "bias": generator.normal(size=4)},
    }


def gradients(steps: int = STEPS) -> Tree:
    """The gradients of `steps` steps along the first axis, float64."""
    generator = np.random.default_rng(1)
    return {
        layer: {name: generator.normal(size=(steps, *leaf.shape)) for name, leaf in leaves.items()}
        for layer, leaves in parameters().items()
    }


def trajectory(options: Optimizer, given: Tree | None = None, total_steps: int = STEPS) -> Tree:
    """The parameters after each step of a chain, along the first axis."""
    with jax.enable_x64(True):
        chain = make_chain(options, total_steps).transformation

        def step(carry, gradient):
            params, state = carry
            updates, state = chain.update(gradient, state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), params

        start = jax.tree.map(jnp.asarray, parameters())
        given = jax.tree.map(jnp.asarray, gradients() if given is None else given)
        run = jax.jit(lambda params, given: jax.lax.scan(step, (params, chain.init(params)), given))
        return jax.tree.map(np.asarray, run(start, given)[1])


def transcription(
    make_rule: Callable[[], Callable[[np.ndarray], np.ndarray]],
    *,
    learning_rate: float,
    l2: float = 0.0,
    weight_decay: float = 0.0,
) -> Tree:
    """What `trajectory` should give: w ← w − η(rule(g + λ₂w) + λw), leaf by leaf.

    Args:
      make_rule: returns a fresh map from gradient to step, which may remember.
      learning_rate: η.
      l2: λ₂ of the kernels.
      weight_decay: λ of the kernels.
    """

    def follow(name, start, given):
        rule, w, visited = make_rule(), start, []
        penalised = name in PENALISED
        for gradient in given:
            step = rule(gradient + l2 * penalised * w)
            w = w - learning_rate * (step + weight_decay * penalised * w)
            visited.append(w)
        return np.stack(visited)

    given = gradients()
    return {
        layer: {name: follow(name, leaf, given[layer][name]) for name, leaf in leaves.items()}
        for layer, leaves in parameters().items()
    }


def assert_equal(found: Tree, expected: Tree, atol: float = 1e-12) -> None:
    """Asserts that all parameters after all steps agree."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=atol), found, expected)


def largest_difference(one: Tree, other: Tree) -> float:
    """The largest difference between the parameters after the last step."""
    differences = jax.tree.map(lambda a, b: np.abs(a[-1] - b[-1]).max(), one, other)
    return max(jax.tree.leaves(differences))
