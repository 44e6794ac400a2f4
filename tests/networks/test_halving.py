"""A convolution of stride 2 is flax's, and so are its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.networks import halving
from vdm_jax.networks.blocks import Conv
from vdm_jax.networks.halving import HalvingConv


@pytest.mark.parametrize("shape", [(2, 8, 12, 3), (2, 7, 9, 3), (2, 6, 7, 3)])
@pytest.mark.parametrize("side", [2, 3, 4, 5])
def test_a_large_input_has_the_output_and_the_gradients_of_flax(monkeypatch, shape, side):
    monkeypatch.setattr(halving, "LARGE", 1)
    ours, theirs = HalvingConv(5, side), Conv(5, (side, side), (2, 2))
    h = jax.random.normal(jax.random.key(0), shape)
    variables = ours.init(jax.random.key(1), h)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, variables, theirs.init(jax.random.key(1), h)))

    def both(net):
        def loss(variables, h):
            return jnp.sum(jnp.sin(net.apply(variables, h)))

        return net.apply(variables, h), jax.grad(loss, (0, 1))(variables, h)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), both(ours), both(theirs))


def test_gradients_of_gradients_and_of_bfloat16(monkeypatch):
    monkeypatch.setattr(halving, "LARGE", 1)
    ours, theirs = HalvingConv(4, 4, jnp.bfloat16), Conv(4, (4, 4), (2, 2), dtype=jnp.bfloat16)
    h = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
    variables = ours.init(jax.random.key(1), h)

    def penalty(net):
        def slope(variables):
            return jnp.sum(jax.grad(lambda h: jnp.sum(net.apply(variables, h) ** 2).astype(jnp.float32))(h) ** 2)

        return jax.grad(slope)(variables)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0.05, atol=0.5), penalty(ours), penalty(theirs))


def test_a_large_input_meets_no_array_of_zeros():
    h = jnp.zeros((64, 32, 32, 32))
    net = HalvingConv(8, 4)
    variables = net.init(jax.random.key(0), h)

    def dilated(h):
        text = jax.jit(jax.grad(lambda h: jnp.sum(net.apply(variables, h) ** 2))).lower(h).as_text()
        return text.count("lhs_dilate = [2, 2]") + text.count("lhs_dilation = dense<2>")

    on_cpu = jax.default_backend() == "cpu"
    assert dilated(h[:8]) == 1
    assert dilated(h) == (0 if on_cpu else 1)
