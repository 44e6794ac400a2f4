from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.networks.encoder import make_encoder
from vdm_jax.networks.unet import make_unet

SHAPE = (4, 4, 1)
TINY = {"channels": 8, "num_blocks": 1}


def norm(tree):
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))


def start(net, seed=0):
    return net.init(jax.random.key(seed))


@lru_cache
def made(**options):
    """-> the parameters of a U-Net for images of `SHAPE` with a code of 3, and its compiled `apply`."""
    net = make_unet(SHAPE, **TINY, w_dim=3, **options)
    return start(net), jax.jit(net.apply)


def inputs(batch=4, shape=SHAPE):
    z = jax.random.normal(jax.random.key(5), (batch, *shape))
    return z, jnp.linspace(0.1, 0.9, batch)


def encoder_gradients(num_updates, **unet_options):
    """Of ½||eps - eps_hat||²: the encoder's largest gradient and its norm over the U-Net's, update by update."""
    unet, encoder = (
        make_unet(SHAPE, **TINY, w_dim=3, **unet_options),
        make_encoder(SHAPE, channels=8, layers=0, groups=4, w_dim=3),
    )
    params = {"unet": start(unet), "encoder": start(encoder, 1)}
    x, t = inputs()
    eps = jax.random.normal(jax.random.key(6), x.shape)
    code_noise = jax.random.normal(jax.random.key(7), (4, 3))

    def diffusion_loss(params):
        mu, logvar = encoder.apply(params["encoder"], x)
        w = mu + jnp.exp(0.5 * logvar) * code_noise
        return 0.5 * jnp.sum((unet.apply(params["unet"], 0.8 * x + 0.6 * eps, t, w) - eps) ** 2)

    optimizer = optax.adam(1e-3)

    @jax.jit
    def update(params, opt_state):
        grads = jax.grad(diffusion_loss)(params)
        largest = jnp.max(jnp.stack([jnp.abs(g).max() for g in jax.tree.leaves(grads["encoder"])]))
        ratio = norm(grads["encoder"]) / norm(grads["unet"])
        updates, opt_state = optimizer.update(grads, opt_state)
        return optax.apply_updates(params, updates), opt_state, largest, ratio

    seen, opt_state = [], optimizer.init(params)
    for _ in range(num_updates):
        params, opt_state, largest, ratio = update(params, opt_state)
        seen.append((float(largest), float(ratio)))
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("conditioning", ["concat", "adagn"])
def test_diffusion_term_alone_reaches_the_encoder_at_the_first_update(conditioning):
    ((largest, ratio),) = encoder_gradients(1, conditioning=conditioning)
    assert largest > 1e-3
    assert ratio > 1e-2  # of a size with the U-Net's own gradient, not merely above rounding


@pytest.mark.slow
def test_zero_initialisation_starves_the_encoder_for_exactly_three_updates():
    largest = [entry for entry, _ in encoder_gradients(4, zero_init=True)]
    assert largest[:3] == [0.0, 0.0, 0.0]
    assert largest[3] > 0


@pytest.mark.slow
def test_zero_initialised_network_predicts_z():
    params, apply = made(zero_init=True)
    z, t = inputs()
    assert np.array_equal(apply(params, z, t, jnp.ones((4, 3))), z)
    assert not params["attention"]["out"]["kernel"].any(), "as in VDM, the attention also starts as the identity"
    assert made()[0]["attention"]["out"]["kernel"].all()


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"conditioning": "adagn"}, {"fourier": (3, 4)}, {"num_heads": 2}])
def test_prediction_has_the_shape_of_z_and_uses_t_and_w(options):
    net = make_unet((5, 3, 2), **TINY, w_dim=3, **options)
    params, (z, t) = start(net), inputs(shape=(5, 3, 2))
    apply = jax.jit(net.apply)
    out = apply(params, z, t, jnp.ones((4, 3)))
    assert out.shape == z.shape
    assert jnp.abs(out - apply(params, z, t, -jnp.ones((4, 3)))).max() > 1e-3
    assert jnp.abs(out - apply(params, z, t / 2, jnp.ones((4, 3)))).max() > 1e-3
    assert params["conv_in"]["kernel"].shape[2] == (2 + 2 * 4 if "fourier" in options else 2)


@pytest.mark.slow
def test_images_do_not_mix_within_a_batch():
    (params, apply), (z, t), w = made(), inputs(), jax.random.normal(jax.random.key(1), (4, 3))
    alone = jnp.concatenate([apply(params, z[i : i + 1], t[i : i + 1], w[i : i + 1]) for i in range(4)])
    np.testing.assert_allclose(apply(params, z, t, w), alone, atol=1e-5)


def test_no_code_stands_for_zero():
    (params, apply), (z, t) = made(), inputs()
    assert np.array_equal(apply(params, z, t), apply(params, z, t, jnp.zeros((4, 3))))


def test_a_code_that_does_not_fit_is_the_users_mistake():
    z, t = inputs()
    for w_dim in (0, 2):
        net = make_unet(SHAPE, **TINY, w_dim=w_dim)
        params = jax.eval_shape(net.init, jax.random.key(0))
        with pytest.raises(UserError, match=f"w_dim={w_dim}"):
            jax.eval_shape(net.apply, params, z, t, jnp.zeros((4, 3)))


def test_wrong_options_are_named():
    with pytest.raises(UserError, match="did you mean 'concat'"):
        make_unet(SHAPE, **TINY, conditioning="conct")
    with pytest.raises(UserError, match="num_heads=3"):
        make_unet(SHAPE, **TINY, num_heads=3)
    with pytest.raises(UserError, match="channels=7"):
        make_unet(SHAPE, channels=7, num_blocks=1)


@pytest.mark.slow
def test_dropout_needs_a_key_and_depends_on_it():
    net = make_unet(SHAPE, **TINY, dropout=0.5)
    params, (z, t) = start(net), inputs()
    apply = jax.jit(net.apply)
    dropped = [apply(params, z, t, key=jax.random.key(i)) for i in (1, 1, 2)]
    assert np.array_equal(dropped[0], dropped[1])
    assert not np.array_equal(dropped[0], dropped[2])
    assert not np.array_equal(apply(params, z, t), dropped[0])


@pytest.mark.slow
def test_bfloat16_computes_beside_float32_parameters():
    (_, full), (params, half) = made(), made(dtype=jnp.bfloat16)
    (z, t), w = inputs(), jnp.ones((4, 3))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    out, exact = (apply(params, z, t, w) for apply in (half, full))
    assert out.dtype == jnp.float32
    difference = jnp.abs(out - exact).max() / jnp.abs(exact - z).max()
    assert 0 < difference < 0.05


@pytest.mark.slow
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other back ends fuse by their own rules")
def test_every_pair_of_blocks_costs_the_same():
    """Of a gradient, in XLA's count of bytes: the second pair down and up costs what the third does."""
    z, t = jnp.ones((2, 4, 4, 1)), jnp.ones(2)

    def moved(num_blocks):
        unet = make_unet((4, 4, 1), channels=8, num_blocks=num_blocks, dropout=0.0)
        gradient = jax.jit(jax.grad(lambda params: (unet.apply(params, z, t) ** 2).sum()))
        return gradient.lower(start(unet)).compile().cost_analysis()["bytes accessed"]

    bytes_of = {n: moved(n) for n in (1, 2, 3)}
    assert bytes_of[3] - bytes_of[2] == pytest.approx(bytes_of[2] - bytes_of[1], rel=0.02)
