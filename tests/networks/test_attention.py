import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.networks import attention
from vdm_jax.networks.attention import Attention, attend
from vdm_jax.networks.blocks import GroupNorm


@pytest.mark.slow
@pytest.mark.parametrize("num_heads", [1, 2])
def test_attention_against_a_loop_over_queries(key, num_heads):
    h = 5 * jax.random.normal(key, (1, 2, 3, 8))
    net = Attention(groups=4, num_heads=num_heads)
    params = net.init(jax.random.key(1), h)["params"]
    params["qkv"]["kernel"] *= 4  # logits far from zero
    normed = GroupNorm(4).apply({"params": params["norm"]}, h).reshape(6, 8)
    q, k, v = np.split(np.asarray(normed @ params["qkv"]["kernel"], np.float64), 3, axis=-1)
    mixed, width = np.zeros((6, 8)), 8 // num_heads
    for head in range(num_heads):
        part = slice(head * width, (head + 1) * width)
        for i in range(6):
            weights = np.exp(k[:, part] @ q[i, part] / np.sqrt(width))
            mixed[i, part] = weights @ v[:, part] / weights.sum()
    expected = np.asarray(h).reshape(6, 8) + mixed @ np.asarray(params["out"]["kernel"])
    np.testing.assert_allclose(net.apply({"params": params}, h).reshape(6, 8), expected, atol=1e-4)


def test_zero_initialised_attention_starts_as_the_identity_and_learns(key):
    h = jax.random.normal(key, (2, 2, 3, 8))
    net = Attention(groups=4, zero_init=True)
    params = net.init(jax.random.key(1), h)["params"]
    np.testing.assert_array_equal(net.apply({"params": params}, h), h)
    assert np.abs(jax.grad(lambda p: (net.apply({"params": p}, h) ** 2).sum())(params)["out"]["kernel"]).max() > 0


@pytest.mark.slow
def test_attention_survives_huge_logits(key):
    h = jax.random.normal(key, (1, 2, 2, 4))
    net = Attention(groups=2)
    params = net.init(jax.random.key(1), h)["params"]
    params["qkv"]["kernel"] *= 1e4
    value, grads = jax.jit(jax.value_and_grad(lambda p: net.apply({"params": p}, h).sum()))(params)
    assert jnp.isfinite(value)
    assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(grads))


def softmax_attention(q, k, v):
    return jax.nn.softmax(jnp.einsum("npd,nsd->nps", q, k), axis=-1) @ v


@pytest.fixture
def few_at_a_time(monkeypatch):
    """A cache for the weights of three images of five pixels."""
    monkeypatch.setattr(attention, "CACHED_WEIGHTS", 75)


@pytest.mark.parametrize("number", [6, 7, 2])  # two turns of three, seven of one, all at once
def test_images_in_turn_give_what_all_at_once_give(key, few_at_a_time, number):
    q, k, v, weight = jax.random.normal(key, (4, number, 5, 2))
    np.testing.assert_allclose(jax.jit(attend)(q, k, v), softmax_attention(q, k, v), rtol=1e-5, atol=1e-6)

    def gradients(f):
        return jax.jit(jax.grad(lambda *a: (weight * f(*a)).sum(), argnums=(0, 1, 2)))(q, k, v)

    for ours, expected in zip(gradients(attend), gradients(softmax_attention), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_turns_go_backwards_through_a_forward_derivative(key, few_at_a_time):
    q, k, v, tangent = jax.random.normal(key, (4, 6, 5, 2))

    def slope(f):
        return jax.jit(jax.grad(lambda q: jax.jvp(lambda q: f(q, k, v).sum(), (q,), (tangent,))[1]))(q)

    np.testing.assert_allclose(slope(attend), slope(softmax_attention), rtol=1e-3, atol=1e-5)
