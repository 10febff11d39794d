"""Counting the operations that a model asks for."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import Mesh, PartitionSpec

from research.planning.flops import matmul_flops


def flops(function, *shapes) -> float:
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return matmul_flops(jax.make_jaxpr(function)(*arguments))


PRODUCT = 2 * 3 * 5 * 7


def test_a_matrix_product_counts_a_multiplication_and_an_addition():
    assert flops(lambda a, b: a @ b, (3, 5), (5, 7)) == PRODUCT


def test_a_batched_product_counts_for_each_of_the_batch():
    assert flops(jnp.matmul, (4, 3, 5), (4, 5, 7)) == 4 * PRODUCT


def test_elementwise_operations_do_not_count():
    assert flops(lambda a: jnp.tanh(a) * 2, (3, 5)) == 0


def test_gradients_of_a_product_are_two_products():
    def loss(a, b):
        return (a @ b).sum()

    assert flops(jax.grad(loss, argnums=(0, 1)), (3, 5), (5, 7)) == 3 * PRODUCT


def convolve(x, kernel, groups=1):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )  # fmt: skip


def test_a_convolution_counts_its_kernel_at_each_output():
    taken = flops(convolve, (2, 8, 8, 3), (3, 3, 3, 16))
    assert taken == 2 * (2 * 8 * 8 * 16) * (3 * 3 * 3)


def test_a_grouped_convolution_reads_a_group_of_channels():
    taken = flops(lambda x, k: convolve(x, k, groups=4), (2, 8, 8, 4), (3, 3, 1, 8))
    assert taken == 2 * (2 * 8 * 8 * 8) * (3 * 3 * 1)


def test_zeros_put_between_the_inputs_cost_nothing():
    def transposed(x, kernel):
        return jax.lax.conv_transpose(x, kernel, (2, 2), "SAME")

    assert flops(transposed, (1, 4, 4, 3), (2, 2, 3, 5)) == 2 * (8 * 8 * 5) * (2 * 2 * 3) / 4


def test_a_scan_counts_as_often_as_it_runs():
    def repeated(a, b):
        return jax.lax.scan(lambda carry, _: (carry @ b, None), a, length=6)[0]

    assert flops(repeated, (3, 5), (5, 5)) == 6 * 2 * 3 * 5 * 5


def test_of_branches_the_largest_counts():
    def either(a, b):
        return jax.lax.cond(a[0, 0] > 0, lambda: a @ b, lambda: jnp.zeros((3, 7)))

    assert flops(either, (3, 5), (5, 7)) == PRODUCT


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint, jax.vmap])
def test_functions_within_functions_are_looked_into(wrap):
    product = flops(wrap(lambda a: a @ a.mT), (4, 3, 5))
    assert product == 4 * 2 * 3 * 5 * 3


def test_what_is_mapped_over_devices_counts_for_all_of_them():
    mesh = Mesh(jax.devices()[:1], "x")
    mapped = jax.shard_map(
        lambda a, b: a @ b,
        mesh=mesh,
        in_specs=(PartitionSpec("x"), PartitionSpec()),
        out_specs=PartitionSpec("x"),
    )
    assert flops(mapped, (3, 5), (5, 7)) == PRODUCT
