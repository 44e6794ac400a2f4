import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.networks.encoder import make_encoder
from vdm_jax.networks.sizes import ENCODER_SIZES

TINY = {"channels": 8, "layers": 1, "groups": 4, "w_dim": 3}


@pytest.mark.parametrize("shape", [(8, 8, 1), (6, 5, 3)])
def test_moments_follow_the_image(shape):
    net = make_encoder(shape, **TINY)
    params, x = net.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (4, *shape))
    mu, logvar = jax.jit(net.apply)(params, x)
    assert mu.shape == logvar.shape == (4, 3)
    assert mu.std(0).min() > 0.05
    alone = jax.jit(net.apply)(params, x[:1])
    np.testing.assert_allclose(alone[0], mu[:1], atol=1e-5)
    np.testing.assert_allclose(alone[1], logvar[:1], atol=1e-5)


def test_an_encoder_of_patches_sees_their_pixels_as_channels():
    net, of_patches = make_encoder((4, 6, 3), **TINY, patch=2), make_encoder((2, 3, 12), **TINY)
    params, x = net.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (2, 4, 6, 3))
    squares = x.reshape(2, 2, 2, 3, 2, 3).swapaxes(2, 3).reshape(2, 2, 3, 12)
    for found, expected in zip(jax.jit(net.apply)(params, x), jax.jit(of_patches.apply)(params, squares), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(UserError, match="patch=2; expected the side of patches that images of 4x5"):
        make_encoder((4, 5, 3), **TINY, patch=2)


@pytest.mark.slow
def test_digits_encoder_starts_near_the_prior():
    net = make_encoder((8, 8, 1), **ENCODER_SIZES["digits"])
    x = jnp.sign(jax.random.normal(jax.random.key(1), (16, 8, 8, 1)))
    mu, logvar = jax.jit(net.apply)(net.init(jax.random.key(0)), x)
    kl = 0.5 * jnp.sum(mu**2 + jnp.exp(logvar) - logvar - 1, axis=-1)
    assert mu.shape == (16, 16)
    assert 0.1 < kl.mean() < 20


@pytest.mark.slow
def test_dropout_and_bfloat16():
    net = make_encoder((4, 4, 1), **TINY, dropout=0.5, dtype=jnp.bfloat16)
    params, x = net.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (2, 4, 4, 1))
    mu, logvar = jax.jit(net.apply)(params, x)
    assert mu.dtype == logvar.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    assert not np.array_equal(mu, jax.jit(net.apply)(params, x, key=jax.random.key(2))[0])
    exact, _ = jax.jit(make_encoder((4, 4, 1), **TINY).apply)(params, x)
    np.testing.assert_allclose(mu, exact, atol=0.05)


@pytest.mark.slow
def test_groups_that_do_not_divide():
    with pytest.raises(UserError, match="groups=3"):
        make_encoder((4, 4, 1), **{**TINY, "groups": 3})
