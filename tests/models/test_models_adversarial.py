"""The losses of a KL-VAE by hand: distances, features, hinge, the adaptive weight and the whole."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import named_key
from vdm_jax.models.adversarial import LARGEST_WEIGHT, ReconstructionLoss, adaptive_weight
from vdm_jax.models.autoencoder import Autoencoder
from vdm_jax.models.code import draw_code, flat
from vdm_jax.models.decoder_likelihood import BernoulliDecoder
from vdm_jax.networks.autoencoder import OUTPUT, make_backbone
from vdm_jax.networks.discriminator import make_discriminator
from vdm_jax.networks.network import Network

X = jnp.array([[1.0, -1.0], [0.5, 0.0]]).reshape(2, 1, 2, 1)
X_HAT = jnp.array([[0.0, 1.0], [0.5, 2.0]]).reshape(2, 1, 2, 1)
MEAN_LOGIT = Network(lambda key: {"a": jnp.float32(1)}, lambda params, x: params["a"] * x[..., 0])


@pytest.mark.parametrize("distance, expected", [("l1", [3.0, 2.0]), ("l2", [5.0, 4.0])])
def test_distances_are_sums_over_the_image(distance, expected):
    np.testing.assert_allclose(ReconstructionLoss(distance).compare(None, X, X_HAT), expected)


def test_features_are_compared_with_their_weight():
    def features(params, x):
        return params * x.reshape(len(x), -1).sum(1, keepdims=True)

    loss = ReconstructionLoss("l1", perceptual=0.5, features=features)
    np.testing.assert_allclose(loss.compare(jnp.float32(3), X, X_HAT), [3 + 0.5 * 9 * 1, 2 + 0.5 * 9 * 4])
    moved = jax.grad(lambda x_hat: loss.compare(jnp.float32(3), X, x_hat).sum())(X_HAT)
    assert float(jnp.abs(moved).min()) > 0  # the features pass a gradient to the image


def test_the_hinge_by_hand():
    loss = ReconstructionLoss("l1", discriminator=MEAN_LOGIT, weight=1.0)
    params = {"a": jnp.float32(1)}
    # logits 1, -1 and ½, 0 of real images; 0, 1 and ½, 2 of reconstructions
    np.testing.assert_allclose(loss.discriminating(params, X, X_HAT), [0.5 * (1 + 1.5), 0.5 * (0.75 + 2.25)])
    np.testing.assert_allclose(loss.fooling(params, X_HAT), [-0.5, -1.25])


def test_the_adaptive_weight_of_a_decoder_is_its_definition():
    """||∇ nll|| / (||∇ g|| + 1e-4) at the last layer, from gradients by all parameters of the decoder; the loss is then
    nll + weight λ g + hinge from `start` on, and nll before."""
    shape = (16, 16, 1)
    backbone = make_backbone("conv", shape, latent_channels=2, channels=4, stochastic=True)
    player = make_discriminator(shape, 4)
    loss = ReconstructionLoss("l2", discriminator=player, weight=0.7, start=5)
    decoder, params = backbone.decoder.init(jax.random.key(0)), player.init(jax.random.key(1))
    u = jax.random.normal(jax.random.key(2), (3, *backbone.latent_shape))
    x = jax.random.normal(jax.random.key(3), (3, *shape))

    def decode(decoder):
        return backbone.decoder.apply(decoder, u)

    @jax.jit
    def expected(decoder):
        gradients = [
            jax.grad(lambda own, of=of: of(decode(own)).mean())(decoder)[OUTPUT]
            for of in (
                lambda x_hat: jnp.sum((x - x_hat) ** 2, (1, 2, 3)),
                lambda x_hat: -player.apply(params, x_hat).mean((1, 2)),
            )
        ]
        numerator, denominator = (jnp.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(g))) for g in gradients)
        return numerator / (denominator + 1e-4)

    @jax.jit
    def found(decoder, step):
        return loss.loss(
            params, None, x, decode(decoder), lambda own: decode(decoder | {OUTPUT: own}), decoder[OUTPUT], step
        )

    (before, metrics), (after, _) = found(decoder, 4), found(decoder, 5)
    weight = float(expected(decoder))
    assert 1 < weight < LARGEST_WEIGHT
    assert float(metrics["adaptive_weight"]) == pytest.approx(weight, rel=1e-4)
    np.testing.assert_allclose(before, metrics["compared"], rtol=1e-6)
    whole = metrics["compared"] + 0.7 * weight * metrics["fooling"] + metrics["discriminator"]
    np.testing.assert_allclose(after, whole, rtol=1e-4)


def test_each_player_has_the_gradient_of_its_own_loss():
    """Before `start` the discriminator stands still; after it, its gradient is that of its hinge loss alone, and the
    decoder's that of the distance and of fooling, with the other player held fixed."""
    shape = (16, 16, 1)
    player = make_discriminator(shape, 4)
    backbone = make_backbone("conv", shape, latent_channels=2, channels=4, stochastic=True)
    x = jnp.asarray(np.random.RandomState(3).randint(0, 2, (4, *shape)), jnp.uint8)
    loss = ReconstructionLoss("l1", discriminator=player, weight=0.5, start=10)
    model = Autoencoder(backbone, shape, BernoulliDecoder(np.array([-1, 1], np.float32)), unit=2.0, reconstruction=loss)
    params, carry = model.init(jax.random.key(0)), model.init_carry(jax.random.key(1))

    @jax.jit
    def gradients(params, step):
        def mean_loss(params):
            found, metrics = model.loss_fn(params, carry, {"levels": x}, jax.random.key(2), step)
            return found.mean(), metrics["adaptive_weight"]

        return jax.grad(mean_loss, has_aux=True)(params)

    @jax.jit
    def expected(params, weight):
        mean, variance = model.moments(params, x)
        u = draw_code(named_key(jax.random.key(2), "code"), flat(mean), flat(jnp.log(variance))).reshape(mean.shape)
        real = model.likelihood.to_x(x)

        def of_decoder(decoder):
            x_hat = model.decode({"decoder": decoder}, u)
            return (
                loss.compare(None, real, x_hat) + 0.5 * weight * loss.fooling(params["discriminator"], x_hat)
            ).mean()

        def of_player(own):
            return loss.discriminating(own, real, model.decode(params, u)).mean()

        return {"decoder": jax.grad(of_decoder)(params["decoder"]),
                "discriminator": jax.grad(of_player)(params["discriminator"])}  # fmt: skip

    (before, _), (after, weight) = gradients(params, 9), gradients(params, 10)
    assert float(optax.tree.norm(before["discriminator"])) == 0
    for part, gradient in expected(params, weight).items():
        assert float(optax.tree.norm(gradient)) > 1e-3
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5), after[part], gradient)
    changed = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), before["decoder"], after["decoder"])
    assert max(float(leaf) for leaf in jax.tree.leaves(changed)) > 1e-4


def test_the_adaptive_weight_is_limited_and_passes_no_gradient():
    def weight(scale):
        return adaptive_weight(lambda p: scale * p["w"][None], lambda p: 0 * p["w"][None], {"w": jnp.float32(1)})

    assert float(weight(jnp.float32(1e3))) == LARGEST_WEIGHT
    assert float(weight(jnp.float32(0.5))) == pytest.approx(0.5 / 1e-4, rel=1e-5)
    assert float(jax.grad(weight)(jnp.float32(0.5))) == 0.0


def test_an_unknown_distance_names_the_others():
    with pytest.raises(UserError, match="l1"):
        ReconstructionLoss("l3")
