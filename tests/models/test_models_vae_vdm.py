"""The VAE-VDM's loss: terms that add up, a live gradient into the code, schedules, targets and weightings."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from linear_networks import (
    DATA,
    LEVELS,
    LINEAR,
    TERMS,
    W_DIM,
    coded,
    linear_decoder,
    linear_encoder,
    loss_and_metrics,
    make,
)

from configs import digits
from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.code_prior import DiffusionPrior
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.rate import FixedRate, NoRate
from vdm_jax.diffusion.rate_code import CodeDropout, HighNoiseRate
from vdm_jax.diffusion.rate_target import TargetRate
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.experiments.common.models import make_vae_vdm
from vdm_jax.models.code import draw_code
from vdm_jax.networks.mlp import make_mlp_denoiser
from vdm_jax.networks.network import Network

# ---- the loss -------------------------------------------------------------------------------------------------------


def test_with_beta_1_the_loss_is_the_bound_and_its_parts_add_up():
    model = LINEAR
    loss, metrics = loss_and_metrics(model)
    assert loss.shape == (12,)
    np.testing.assert_allclose(loss, metrics["bound"], rtol=1e-6)
    np.testing.assert_allclose(metrics["distortion"] + metrics["rate"], metrics["bound"], rtol=1e-6)
    np.testing.assert_allclose(sum(metrics[name] for name in TERMS), metrics["distortion"], rtol=1e-6)
    np.testing.assert_allclose(metrics["bpd"], metrics["bound"] / (64 * np.log(2)), rtol=1e-6)
    of = coded(model, model.init(jax.random.key(0)))
    kl = 0.5 * (of["mu"] ** 2 + np.exp(of["logvar"]) - of["logvar"] - 1).sum(1)
    np.testing.assert_allclose(metrics["rate"], kl, rtol=1e-4)
    assert kl.min() > 0.01


@pytest.mark.slow
def test_other_rates_weigh_the_rate_and_leave_the_bound_alone():
    _, reference = loss_and_metrics(LINEAR)
    for rate, beta in ((FixedRate(3.0), 3.0), (NoRate(), 0.0)):
        loss, metrics = loss_and_metrics(make(rate=rate))
        np.testing.assert_allclose(loss, metrics["distortion"] + beta * metrics["rate"], rtol=1e-6)
        np.testing.assert_allclose(metrics["bound"], reference["bound"], rtol=1e-6)
        assert metrics["beta"] == beta


def test_each_step_key_draws_anew_and_each_key_the_same():
    first, again, other = (loss_and_metrics(LINEAR, seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).min() > 0


def test_held_out_images_give_the_rate_and_no_gradient():
    model = make(rate=TargetRate(2.0))
    params = model.init(jax.random.key(0))
    batch = {"levels": jnp.asarray(LEVELS), "held_out": jnp.asarray(DATA.validation.levels[:8])}
    _, metrics = loss_and_metrics(model, batch=batch)
    of = coded(model, params, DATA.validation.levels[:8])
    kl = 0.5 * (of["mu"] ** 2 + np.exp(of["logvar"]) - of["logvar"] - 1).sum(1)
    np.testing.assert_allclose(metrics["held_out_rate"], kl, rtol=1e-4)

    def held_out(params):
        return model.loss_fn(params, model.init_carry(), batch, jax.random.key(0), 0)[1]["held_out_rate"].sum()

    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(jax.jit(jax.grad(held_out))(params)))


def test_the_carry_follows_held_out_images_where_there_are_some():
    model = make(rate=TargetRate(2.0))
    carry = model.init_carry()
    train, held_out = jnp.float32(3.5), jnp.float32(0.5)
    alone = model.update_carry(carry, {"rate": train}, 0)
    both = model.update_carry(carry, {"rate": train, "held_out_rate": held_out}, 0)
    assert alone == model.code.rate.update(carry, train, 0) and both == model.code.rate.update(carry, held_out, 0)
    assert both["integral"] < carry["integral"] < alone["integral"]


def test_the_rate_mode_may_hide_codes_and_weigh_noise_levels():
    plain = loss_and_metrics(LINEAR)[1]
    hidden = loss_and_metrics(make(rate=CodeDropout(1.0, dropout=0.9)))[1]
    assert 0 < np.mean(hidden["diffusion"] != plain["diffusion"]) < 1
    np.testing.assert_array_equal(hidden["rate"], plain["rate"])
    heavy, metrics = loss_and_metrics(make(rate=HighNoiseRate(1.0, weight=3.0, logsnr=np.inf)))
    np.testing.assert_array_equal(metrics["bound"], plain["bound"])
    np.testing.assert_allclose(heavy, plain["bound"] + 2 * plain["diffusion"], rtol=1e-5)


@pytest.mark.slow
def test_a_learned_prior_starts_as_the_standard_normal_and_learns():
    """Its rate estimates the KL to N(0, I) at first, and has a gradient in psi and in the encoder."""
    network = make_mlp_denoiser(W_DIM, width=16, num_blocks=1)
    prior = DiffusionPrior(network.apply, make_schedule("linear", gamma_min=-10.0, gamma_max=5.0), 5)
    model = make(prior_network=network, prior=prior)
    params = model.init(jax.random.key(0))
    repeated = {"levels": np.tile(LEVELS[:1], (4096, 1, 1, 1))}
    rates = loss_and_metrics(model, batch=repeated)[1]["rate"]
    exact = loss_and_metrics(LINEAR, batch={"levels": LEVELS[:1]})[1]["rate"]
    np.testing.assert_allclose(np.mean(rates), exact[0], atol=5 * np.std(rates) / 64)

    def mean_rate(params):
        return model.code.draw(jax.random.key(1), params, model.to_x(jnp.asarray(LEVELS))).rate.mean()

    grads = jax.grad(mean_rate)(params)
    assert np.abs(grads["code_prior"]["out"]["kernel"]).max() > 0
    assert np.abs(grads["encoder"]["moments"]).max() > 0


# ---- the gradient into the encoder ----------------------------------------------------------------------------------


def diffusion_gradient(deltas, **of_the_code) -> dict[str, float]:
    """Norms of the gradient of the summed diffusion term alone, by network, at a real U-Net's fresh parameters."""
    config = digits.get_config("none")
    config.update_from_flattened_dict({"model.unet.num_blocks": 1, "model.unet.channels": 8} | deltas)
    model = make_vae_vdm(config, DATA)
    model = replace(model, code=replace(model.code, **of_the_code))

    @jax.jit
    def gradient(params):
        def diffusion(params):
            mu, logvar = model.encode(params, model.to_x(LEVELS))
            w = draw_code(jax.random.key(1), mu, logvar)
            t = jnp.linspace(0.05, 0.95, len(LEVELS))
            return model.losses(jax.random.key(2), params, jnp.asarray(LEVELS), w, t).terms.diffusion.sum()

        return jax.grad(diffusion)(params)

    norms = gradient(model.init(jax.random.key(0)))
    return {name: float(jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(part)))) for name, part in norms.items()}


@pytest.mark.slow
def test_the_diffusion_term_alone_reaches_the_encoder_at_the_first_update():
    norms = diffusion_gradient({"model.unet.conditioning": "concat"})
    assert norms["encoder"] > 1e-3 * norms["unet"] > 0


@pytest.mark.slow
def test_so_it_does_through_adaptive_norms():
    norms = diffusion_gradient({"model.unet.conditioning": "adagn"}, encoder=linear_encoder())
    assert norms["encoder"] > 1e-3 * norms["unet"] > 0


@pytest.mark.slow
def test_with_the_blogs_zero_initialisation_it_does_not():
    blogs = {"model.unet.conditioning": "concat", "model.unet.zero_init": True}
    norms = diffusion_gradient(blogs, encoder=linear_encoder())
    assert norms["encoder"] == 0 and norms["unet"] > 0


# ---- without a code -------------------------------------------------------------------------------------------------


def test_without_an_encoder_there_is_no_code_and_no_rate():
    model = make({"model.encoder": "none"})
    params = model.init(jax.random.key(0))
    assert model.code is None and set(params) == {"unet"}
    with pytest.raises(UserError, match="the model has no code"):
        model.encode(params, model.to_x(LEVELS))
    loss, metrics = loss_and_metrics(model)
    assert not {"rate", "beta"} & set(metrics)
    np.testing.assert_allclose(loss, metrics["distortion"], rtol=1e-6)
    np.testing.assert_array_equal(metrics["bound"], metrics["distortion"])


def test_the_baseline_of_equal_capacity_has_room_for_a_code_and_takes_none():
    model = make({"model.encoder": "none"})
    params = model.init(jax.random.key(0))
    z, t = jax.random.normal(jax.random.key(1), (3, 8, 8, 1)), jnp.full(3, 0.5)
    w = jax.random.normal(jax.random.key(2), (3, W_DIM))
    without = model.denoise(params)(z, t).eps
    with pytest.raises(UserError, match="the model has no code"):
        model.denoise(params, w)
    assert np.abs(model.network.apply(params["unet"], z, t, w) - without).max() > 1e-2


# ---- schedules, targets, weightings ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["monotone", "scalar"])
def test_a_learned_gamma_is_trained(kind):
    model = make({"diffusion.schedule": kind})
    params = model.init(jax.random.key(0))

    @jax.jit
    def loss_and_gradient(params):
        def mean(params):
            return model.loss_fn(params, {}, {"levels": jnp.asarray(LEVELS)}, jax.random.key(0), 0)[0].mean()

        return jax.value_and_grad(mean)(params)

    loss, gradient = loss_and_gradient(params)
    assert np.isfinite(loss)
    for leaf in jax.tree.leaves(gradient["gamma"]):
        assert np.all(np.isfinite(leaf)) and np.abs(leaf).max() > 0
    params["gamma"] = jax.tree.map(lambda p, g: p - 0.1 * g / jnp.abs(g).max(), params["gamma"], gradient["gamma"])
    before, after = (
        model.schedule(p).gamma(jnp.array([0.0, 0.5, 1.0])) for p in (model.init(jax.random.key(0)), params)
    )
    moved = np.abs(after - before) > 0
    assert moved.tolist() == ([False, True, False] if kind == "monotone" else [True, True, True])
    if kind == "monotone":
        np.testing.assert_array_equal(np.asarray(after)[[0, 2]], np.float32([-8.0, 5.0]))


CHAINS = [
    ({"diffusion.schedule": "ddpm_linear"}, 1000),
    ({"diffusion.schedule": "cosine", "diffusion.num_steps": 9}, 9),
    ({"diffusion.num_steps": 5}, 5),
    ({"diffusion.schedule": "cosine_continuous", "diffusion.num_steps": 4}, 4),
]


@pytest.mark.parametrize(("deltas", "num_steps"), CHAINS, ids=lambda value: str(value)[:50])
def test_chains_are_visited_at_their_steps(deltas, num_steps):
    model = make(deltas)
    assert model.chain_length() == num_steps
    t = model.in_chain(jnp.array([0.0, 0.49 / num_steps, 0.5, np.nextafter(np.float32(1), np.float32(0))]))
    expected = [1, 1, num_steps // 2 + 1, num_steps]
    np.testing.assert_allclose(t * num_steps, expected, rtol=1e-6)
    loss, metrics = loss_and_metrics(model)
    assert np.all(np.isfinite(loss)) and np.all(metrics["prior"] > 0)
    np.testing.assert_allclose(loss, metrics["bound"], rtol=1e-5)


def test_continuous_time_is_left_as_it_is():
    model, t = LINEAR, jnp.array([0.0, 0.3, 0.999])
    assert model.chain_length() is None
    np.testing.assert_array_equal(model.in_chain(t), t)


@pytest.mark.parametrize("weighting", ["simple", "p2", "min_snr"])
def test_a_weighting_changes_what_is_trained_and_not_what_is_reported(weighting):
    reference, bound = loss_and_metrics(LINEAR)
    loss, metrics = loss_and_metrics(make({"diffusion.weighting": weighting}))
    for name in (*TERMS, "rate", "bound"):
        np.testing.assert_allclose(metrics[name], bound[name], rtol=1e-6)
    assert np.all(np.abs(loss - reference) > 1e-3 * np.abs(reference))


@pytest.mark.slow
@pytest.mark.parametrize("target", ["x", "v"])
def test_a_network_that_says_the_same_in_other_words_has_the_same_bound(target):
    """x = (z - sigma eps)/alpha, v = alpha eps - sigma x, said of the linear decoder's eps_hat."""
    decoder = linear_decoder()

    def apply(params, z, t, w=None, *, key=None):
        eps = decoder.apply(params, z, t, w)
        alpha, sigma = (value.reshape(-1, 1, 1, 1) for value in alpha_sigma(-8 * (1 - t) + 5 * t))
        x = (z - sigma * eps) / alpha
        return x if target == "x" else alpha * eps - sigma * x

    loss, metrics = loss_and_metrics(LINEAR)
    deltas = {"diffusion.target": target, "diffusion.gamma_min": -8.0}
    other_loss, other = loss_and_metrics(make(deltas, network=Network(decoder.init, apply)))
    np.testing.assert_allclose(other["diffusion"], metrics["diffusion"], rtol=1e-3)
    np.testing.assert_allclose(other_loss, loss, rtol=1e-3)
