"""Counting products: by hand, against XLA's count of what it can count, and through loops, branches and gradients."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec

from vdm_jax.base.mesh import make_mesh
from vdm_jax.benchmarks.products import product_flops
from vdm_jax.networks.attention import attend

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def count(fn, *shapes):
    return product_flops(jax.make_jaxpr(fn)(*(jnp.zeros(shape) for shape in shapes)))


def test_matrix_products():
    assert count(jnp.matmul, (32, 48), (48, 16)) == 2 * 32 * 48 * 16
    assert count(lambda a, b: jnp.einsum("nij,nkj->nik", a, b), (3, 4, 5), (3, 6, 5)) == 2 * 3 * 4 * 5 * 6
    assert count(lambda a: jnp.sin(a + 1).sum(), (7, 7)) == 0


def test_a_convolution_by_hand():
    def conv(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=DIMENSIONS)

    taps = (3 * 8 - 2) ** 2  # of a 3x3 window over 8x8 pixels, those outside left out
    assert count(conv, (2, 8, 8, 5), (3, 3, 5, 7)) == 2 * 2 * taps * 5 * 7


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_convolutions_and_their_gradients_are_those_xla_counts(stride, groups, dilation):
    def conv(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            ((1, 2), (0, 1)),
            rhs_dilation=(dilation, dilation),
            feature_group_count=groups,
            dimension_numbers=DIMENSIONS,
        )

    x, kernel = jnp.zeros((2, 9, 7, 4)), jnp.zeros((3, 2, 4 // groups, 6))
    out = jnp.zeros(conv(x, kernel).shape)
    programs = [conv, *(lambda x, kernel, i=i: jax.vjp(conv, x, kernel)[1](out)[i] for i in (0, 1))]
    for fn in programs:
        by_xla = jax.jit(lambda x, kernel, fn=fn: fn(x, kernel)).lower(x, kernel).cost_analysis()["flops"]
        assert count(fn, x.shape, kernel.shape) == pytest.approx(by_xla, rel=0.02)


def test_loops_count_as_often_as_they_turn():
    def powers(a, length):
        return jax.lax.scan(lambda c, _: (c @ c, None), a, length=length)[0]

    assert count(lambda a: powers(a, 10), (16, 16)) == 10 * count(jnp.matmul, (16, 16), (16, 16))
    nested = jax.jit(lambda a: jax.lax.map(jax.checkpoint(lambda row: powers(row, 3)), a))
    assert count(nested, (5, 4, 4)) == 5 * 3 * 2 * 4**3
    with pytest.raises(ValueError, match="unknown length"):
        count(lambda a: jax.lax.while_loop(lambda c: c.sum() < 9, lambda c: c @ c, a), (4, 4))


def test_branches():
    def by_back_end(a):
        return jax.lax.platform_dependent(a, cpu=lambda a: a @ a @ a, default=lambda a: a @ a)

    def by_value(a):
        return jax.lax.cond(a.sum() > 0, lambda a: a @ a @ a, lambda a: a @ a, a)

    assert count(by_back_end, (8, 8)) == 2 * 8**3 and count(by_value, (8, 8)) == 2 * 2 * 8**3


def test_a_program_over_a_mesh_counts_all_its_devices():
    mesh = make_mesh()
    spec = PartitionSpec("data")
    fn = jax.shard_map(lambda a: a @ a.T, mesh=mesh, in_specs=spec, out_specs=spec)
    rows = 4 * mesh.size
    assert count(fn, (rows, 8)) == mesh.size * 2 * 4 * 8 * 4


def test_attention_is_the_same_work_however_it_is_arranged(monkeypatch):
    """All at once nothing loops or is computed twice, and XLA's count holds."""
    q = jnp.zeros((6, 32, 8))

    def flops():
        traced = jax.jit(jax.grad(lambda q: attend(q, q + 1, q - 1).sum())).trace(q)
        return product_flops(traced.jaxpr), traced.lower().cost_analysis()["flops"]

    at_once, by_xla = flops()
    monkeypatch.setattr("vdm_jax.networks.attention.CACHED_WEIGHTS", 1)
    jax.clear_caches()  # of traced branches
    in_turn, too_few = flops()
    assert at_once == in_turn == 3 * 2 * 2 * 6 * 32 * 32 * 8
    assert at_once < by_xla < 1.5 * at_once and too_few < at_once  # XLA counts sums and maps as well
