"""Backbones of autoencoders: shapes of every size, operations and parameters, labels; the discriminator's patches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.pytrees import num_parameters
from vdm_jax.networks import discriminator
from vdm_jax.networks.autoencoder import BACKBONES, OUTPUT, make_backbone
from vdm_jax.networks.discriminator import make_discriminator

KEY = jax.random.key(0)
MOST_OPERATIONS, MOST_PARAMETERS = 50e6, 4e6  # of both halves at 64x64; at 32x32 a quarter of the operations
SIZES = {"fc": [{"latents": 1024}], "conv": [{"latent_channels": 4}], "attention": [{"latent_channels": 4}]}


WITH_ATTENTION_SLOW = ["fc", "conv", pytest.param("attention", marks=pytest.mark.slow)]


def made(name, shape, **settings):
    settings = {"stochastic": True} | SIZES[name][0] | settings
    return make_backbone(name, shape, **settings)


def shapes(backbone, image_shape, batch=2):
    """Parameters, moments and output as shapes; nothing is computed."""
    encoder, decoder = (jax.eval_shape(half.init, KEY) for half in backbone[:2])
    x = jax.ShapeDtypeStruct((batch, *image_shape), jnp.float32)
    mean, logvar = jax.eval_shape(backbone.encoder.apply, encoder, x)
    return (encoder, decoder), mean, logvar, jax.eval_shape(backbone.decoder.apply, decoder, mean)


@pytest.mark.parametrize("name", WITH_ATTENTION_SLOW)
def test_every_side_that_divides_by_4_grey_or_colour(name):
    """Sides 8 to 64; `conv` and `attention` keep a quarter of each."""
    sides = (8, 20, 36, 64) if name == "attention" else range(8, 65, 4)  # it takes long to trace
    images = [(side, side, 1 if i % 2 else 3) for i, side in enumerate(sides)]
    for shape in [*images, (28, 20, 1)]:
        backbone = made(name, shape)
        (_, decoder), mean, logvar, output = shapes(backbone, shape)
        assert output.shape == (2, *shape)
        assert mean.shape == logvar.shape == (2, *backbone.latent_shape)
        assert backbone.latent_shape == ((1024,) if name == "fc" else (shape[0] // 4, shape[1] // 4, 4))
        assert OUTPUT in decoder


def test_vectors_of_1_to_1024_latents():
    for latents in (1, 4, 256, 1024):
        backbone = made("fc", (32, 32, 1), latents=latents)
        assert shapes(backbone, (32, 32, 1))[1].shape == (2, latents)


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("name", BACKBONES)
def test_operations_and_parameters_stay_within_their_limits(name, side):
    """As XLA counts them for one colour image, which has more than a grey one."""
    shape = (side, side, 3)
    backbone = made(name, shape)
    params, *_ = shapes(backbone, shape)
    x, u = (jax.ShapeDtypeStruct((1, *of), jnp.float32) for of in (shape, backbone.latent_shape))
    operations = [
        jax.jit(half.apply).lower(own, inputs).cost_analysis()["flops"]
        for half, own, inputs in zip(backbone[:2], params, (x, u), strict=True)
    ]
    assert 1e6 < sum(operations) < MOST_OPERATIONS * (side / 64) ** 2
    assert num_parameters(params) < MOST_PARAMETERS


@pytest.mark.parametrize("name", WITH_ATTENTION_SLOW)
def test_the_image_reaches_the_code_and_the_code_every_pixel(name):
    """No pixel and no latent is left out. A decoder that lost a row would still have the right shape."""
    shape = (12, 8, 1)
    backbone = made(name, shape, channels=4, **({"latents": 6} if name == "fc" else {}))
    encoder, decoder = (jax.jit(half.init)(jax.random.clone(KEY)) for half in backbone[:2])
    x = jax.random.normal(jax.random.key(1), (1, *shape))
    u = jax.random.normal(jax.random.key(2), (1, *backbone.latent_shape))

    @jax.jit
    def reach(x, u):
        of_pixels = jax.jacobian(lambda x: backbone.encoder.apply(encoder, x)[0].ravel())(x)
        of_latents = jax.jacobian(lambda u: backbone.decoder.apply(decoder, u).ravel())(u)
        return [jnp.abs(jacobian.reshape(jacobian.shape[0], -1)) for jacobian in (of_pixels, of_latents)]

    for jacobian in reach(x, u):
        assert float(jacobian.max(0).min()) > 1e-6
        assert float(jacobian.max(1).min()) > 1e-6


def test_pixels_of_a_grid_depend_on_the_latents_near_them():
    """The lower right of an image is decoded from the lower right of its latents: rows and columns are in order."""
    shape = (32, 32, 1)
    backbone = made("conv", shape, channels=4)
    params = backbone.decoder.init(KEY)
    pixel = jax.jit(jax.grad(lambda u: backbone.decoder.apply(params, u)[0, 2, 30, 0]))
    reached = jnp.abs(pixel(jax.random.normal(jax.random.key(1), (1, 8, 8, 4)))).sum((0, 3))
    rows, columns = np.nonzero(np.asarray(reached))
    assert rows.max() <= 4 and columns.min() >= 3


def test_a_deterministic_code_has_no_variance_and_half_of_the_outputs():
    shape = (16, 16, 1)
    drawn, fixed = (shapes(made("fc", shape, latents=8, stochastic=s), shape) for s in (True, False))
    assert fixed[2] is None and fixed[1].shape == drawn[1].shape
    last = [found[0][0]["moments"]["kernel"].shape[-1] for found in (drawn, fixed)]
    assert last == [16, 8]


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_both_halves_of_a_conditional_backbone_read_the_label(name):
    shape = (8, 8, 1)
    backbone = made(name, shape, channels=4, num_classes=3)
    x, labels = jnp.ones((2, *shape)), jnp.eye(3)[:2]

    @jax.jit
    def both(key):
        encoder, decoder = (half.init(jax.random.fold_in(key, i)) for i, half in enumerate(backbone[:2]))
        u = jnp.ones((2, *backbone.latent_shape))
        return backbone.encoder.apply(encoder, x, labels)[0], backbone.decoder.apply(decoder, u, labels)

    for found in both(KEY):
        assert float(jnp.abs(found[0] - found[1]).max()) > 1e-3


@pytest.mark.parametrize("name", BACKBONES)
def test_half_precision_ends_in_float32(name):
    shape = (8, 8, 1)
    _, mean, logvar, output = shapes(made(name, shape, dtype=jnp.bfloat16), shape)
    assert {mean.dtype, logvar.dtype, output.dtype} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    "name, shape, settings, words",
    [
        ("fc", (32, 32, 1), {"latents": 0}, "model.latents=0; expected 1 to"),
        ("conv", (32, 32, 1), {"latent_channels": 0}, "model.latent_channels=0; expected 1 to"),
        ("conv", (32, 30, 1), {}, "'conv' needs sides that are divisible by 4 and at least 8, not images of 32x30; --"),
        ("fc", (4, 4, 1), {}, "at least 8, not images of 4x4"),
        ("attention", (8, 8, 1), {"channels": 5}, "model.channels=5; expected an even number"),
    ],
)
def test_mistakes_are_named_with_the_way_out(name, shape, settings, words):
    with pytest.raises(UserError, match=words):
        made(name, shape, **settings)


def test_an_unknown_backbone_names_the_others():
    with pytest.raises(UserError, match="attention"):
        make_backbone("mlp", (8, 8, 1), stochastic=True)


def test_a_logit_sees_the_patch_that_is_promised(monkeypatch):
    """26 pixels a side, without the statistics of its norms and with a linear network, whose gradient is never 0."""
    monkeypatch.setattr(discriminator, "GroupNorm", lambda groups, name: lambda h: h)
    monkeypatch.setattr(discriminator, "SLOPE", 1.0)
    player = make_discriminator((64, 64, 1), 2)
    params = player.init(KEY)
    reached = jax.jit(jax.grad(lambda x: player.apply(params, x)[0, 8, 8]))(jnp.ones((1, 64, 64, 1)))
    rows, columns = np.nonzero(np.asarray(reached[0, ..., 0]))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (26, 26)


@pytest.mark.parametrize("shape", [(16, 16, 1), (64, 32, 3)])
def test_there_is_a_logit_for_each_16_pixels(shape):
    player = make_discriminator(shape, 4)
    x = jax.ShapeDtypeStruct((3, *shape), jnp.float32)
    logits = jax.eval_shape(player.apply, jax.eval_shape(player.init, KEY), x)
    assert logits.shape == (3, shape[0] // 4, shape[1] // 4)


def test_no_discriminator_of_small_images():
    with pytest.raises(UserError, match="these are 8x8; expected sides of at least 16, or reconstruction.discrim"):
        make_discriminator((8, 8, 1), 32)
    with pytest.raises(UserError, match="discriminator_channels=1"):
        make_discriminator((32, 32, 1), 1)
