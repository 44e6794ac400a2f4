"""The VAE-VDM's loss and bound: terms that add up, a live gradient into the code, transforms against their loops.

Most of it needs no real network: a linear decoder that reads w and a linear encoder stand in, on real digits.
"""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import digits
from vdm_jax.base.keys import named_key
from vdm_jax.data.sources import load_data
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.objective import vdm_losses
from vdm_jax.diffusion.rate import FixedRate, NoRate, TargetRate
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.experiments.build import make_vae_vdm
from vdm_jax.experiments.codes import derangement, encode_all
from vdm_jax.experiments.vae_vdm import VaeVdm, draw_code
from vdm_jax.models.model import Model

W_DIM = 16
DATA = load_data("digits")
LEVELS = DATA.test.levels[:12]
TERMS = ("reconstruction", "prior", "diffusion")


def linear_decoder(reads_w: bool = True) -> Model:
    """prediction = z + linear(z, t, w)."""

    def init(key):
        shapes = {"z": (64, 64), "t": (1, 64), "w": (W_DIM, 64)}
        return {name: 0.1 * jax.random.normal(named_key(key, name), shape) for name, shape in shapes.items()}

    def apply(params, z, t, w=None, *, key=None):
        h = z.reshape(-1, 64) @ params["z"] + t.reshape(-1, 1) @ params["t"]
        if reads_w and w is not None:
            h = h + w @ params["w"]
        return z + h.reshape(z.shape)

    return Model(init, apply)


def linear_encoder() -> Model:
    def init(key):
        return {"moments": 0.1 * jax.random.normal(key, (64, 2 * W_DIM))}

    def apply(params, x, *, key=None):
        mu, logvar = jnp.split(x.reshape(-1, 64) @ params["moments"], 2, axis=1)
        return mu, logvar

    return Model(init, apply)


def make(deltas=(), **changes) -> VaeVdm:
    """The model of configs/digits.py with `deltas`, its networks linear, then changed."""
    config = digits.get_config("beta1")
    config.update_from_flattened_dict(dict(deltas))
    networks = {"unet": linear_decoder(), "encoder": linear_encoder(), "w_dim": W_DIM}
    return replace(make_vae_vdm(config, DATA), **(networks | changes))


LINEAR = make()
compiled = functools.cache(jax.jit)


def loss_and_metrics(model, seed=0, batch=None):
    params = model.init(jax.random.key(0))
    batch = {"levels": LEVELS} if batch is None else batch
    return compiled(model.loss_fn)(params, model.rate.init(), batch, jax.random.key(seed), 0)


def coded(model, params, levels=LEVELS) -> dict[str, np.ndarray]:
    mu, logvar = encode_all(model, params, levels, 5)
    return {"levels": levels, "mu": mu, "logvar": logvar}


def keys_of_images() -> jax.Array:
    return jax.random.split(jax.random.key(5), len(LEVELS))


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
        return model.loss_fn(params, model.rate.init(), batch, jax.random.key(0), 0)[1]["held_out_rate"].sum()

    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(jax.jit(jax.grad(held_out))(params)))


def test_the_carry_follows_held_out_images_where_there_are_some():
    model = make(rate=TargetRate(2.0))
    carry = model.rate.init()
    train, held_out = jnp.float32(3.5), jnp.float32(0.5)
    alone = model.update_carry(carry, {"rate": train}, 0)
    both = model.update_carry(carry, {"rate": train, "held_out_rate": held_out}, 0)
    assert alone == model.rate.update(carry, train, 0) and both == model.rate.update(carry, held_out, 0)
    assert both["integral"] < carry["integral"] < alone["integral"]


# ---- the gradient into the encoder ----------------------------------------------------------------------------------


def diffusion_gradient(deltas, **changes) -> dict[str, float]:
    """Norms of the gradient of the summed diffusion term alone, by network, at a real U-Net's fresh parameters."""
    config = digits.get_config("none")
    config.update_from_flattened_dict({"model.unet.num_blocks": 1, "model.unet.channels": 8} | deltas)
    model = replace(make_vae_vdm(config, DATA), **changes)

    @jax.jit
    def gradient(params):
        def diffusion(params):
            mu, logvar = model.encode(params, jnp.asarray(model.pixel_values)[LEVELS])
            w = draw_code(jax.random.key(1), mu, logvar)
            t = jnp.linspace(0.05, 0.95, len(LEVELS))
            return model.losses(jax.random.key(2), params, jnp.asarray(LEVELS), w, t).terms.diffusion.sum()

        return jax.grad(diffusion)(params)

    norms = gradient(model.init(jax.random.key(0)))
    return {name: float(jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(part)))) for name, part in norms.items()}


def test_the_diffusion_term_alone_reaches_the_encoder_at_the_first_update():
    norms = diffusion_gradient({"model.unet.conditioning": "concat"})
    assert norms["encoder"] > 1e-3 * norms["unet"] > 0


def test_so_it_does_through_adaptive_norms():
    norms = diffusion_gradient({"model.unet.conditioning": "adagn"}, encoder=linear_encoder())
    assert norms["encoder"] > 1e-3 * norms["unet"] > 0


def test_with_the_blogs_zero_initialisation_it_does_not():
    blogs = {"model.unet.conditioning": "concat", "model.unet.zero_init": True}
    norms = diffusion_gradient(blogs, encoder=linear_encoder())
    assert norms["encoder"] == 0 and norms["unet"] > 0


# ---- without a code -------------------------------------------------------------------------------------------------


def test_without_an_encoder_the_rate_is_zero_and_the_code_has_no_width():
    model = make({"model.encoder": "none"}, encoder=None, w_dim=0)
    params = model.init(jax.random.key(0))
    assert "encoder" not in params
    mu, logvar = encode_all(model, params, LEVELS, 5)
    assert mu.shape == logvar.shape == (12, 0)
    loss, metrics = loss_and_metrics(model)
    np.testing.assert_array_equal(metrics["rate"], 0)
    np.testing.assert_allclose(loss, metrics["distortion"], rtol=1e-6)


def test_the_baseline_of_equal_capacity_ignores_the_code_it_has_room_for():
    model = make({"model.encoder": "none"}, encoder=None, w_dim=0)
    params = model.init(jax.random.key(0))
    z, t = jax.random.normal(jax.random.key(1), (3, 8, 8, 1)), jnp.full(3, 0.5)
    w = jax.random.normal(jax.random.key(2), (3, W_DIM))
    without = model.eps_fn(params, jnp.zeros((3, 0)))(z, t)
    np.testing.assert_array_equal(model.eps_fn(params, w)(z, t), without)
    assert np.abs(model.unet.apply(params["unet"], z, t, w) - without).max() > 1e-2


# ---- the bound, image by image --------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_steps", [None, 7])
def test_bound_terms_are_the_loss_of_each_image_from_its_own_key(num_steps):
    model = make({"diffusion.num_steps": num_steps})
    params = model.init(jax.random.key(0))
    batch, t = coded(model, params), jnp.arange(12) / 12
    found = compiled(model.bound_terms)(params, keys_of_images(), t, batch)
    values = jnp.asarray(model.pixel_values)
    for i in range(12):
        one = slice(i, i + 1)
        key = keys_of_images()[i]
        w = draw_code(named_key(key, "code"), *(jnp.asarray(batch[name][one]) for name in ("mu", "logvar")))
        at = t[one] if num_steps is None else jnp.floor(t[one] * num_steps + 1) / num_steps
        x, eps_fn, schedule = values[LEVELS[one]], model.eps_fn(params, w), model.fixed_schedule
        terms = vdm_losses(key, x, jnp.asarray(LEVELS[one]), values, eps_fn, schedule, at, num_steps=num_steps)[0]
        for name in TERMS:
            np.testing.assert_allclose(found[name][i], getattr(terms, name)[0], rtol=2e-4, atol=1e-4)
    np.testing.assert_allclose(sum(found[name] for name in (*TERMS, "rate")), found["bound"], rtol=1e-6)


def test_the_mean_does_not_depend_on_the_batch_size():
    model = LINEAR
    params = model.init(jax.random.key(0))
    data = coded(model, params)
    small, whole = (
        evaluate_bound(model.bound_terms, params, data, passes=2, batch_size=size, key=jax.random.key(0)).mean
        for size in (5, 12)
    )
    for name, value in whole.items():
        np.testing.assert_allclose(small[name], value, rtol=1e-5, err_msg=name)


def test_another_code_costs_nothing_where_the_decoder_reads_none():
    model = make(unet=linear_decoder(reads_w=False))
    params = model.init(jax.random.key(0))
    batch, t = coded(model, params), jnp.arange(12) / 12
    batch |= {f"other_{name}": batch[name][::-1] for name in ("mu", "logvar")}
    own = compiled(model.bound_terms)(params, keys_of_images(), t, batch)["diffusion"]
    foreign = compiled(model.foreign_terms)(params, keys_of_images(), t, batch)
    assert set(foreign) == {"diffusion_shuffled", "diffusion_from_prior"}
    for values in foreign.values():
        np.testing.assert_allclose(values, own, rtol=1e-5)


def test_another_code_costs_something_where_the_decoder_reads_it():
    model = LINEAR
    params = model.init(jax.random.key(0))
    batch, t = coded(model, params), jnp.full(12, 0.5)
    batch["logvar"] = np.full_like(batch["logvar"], -60)  # w = mu
    own = compiled(model.bound_terms)(params, keys_of_images(), t, batch)["diffusion"]
    same = batch | {f"other_{name}": batch[name] for name in ("mu", "logvar")}
    found = compiled(model.foreign_terms)(params, keys_of_images(), t, same)
    np.testing.assert_allclose(found["diffusion_shuffled"], own, rtol=1e-5)  # the other image is the same one
    assert np.abs(found["diffusion_from_prior"] - own).min() > 1e-3
    others = batch | {"other_mu": batch["mu"][::-1], "other_logvar": batch["logvar"]}
    assert (
        np.abs(compiled(model.foreign_terms)(params, keys_of_images(), t, others)["diffusion_shuffled"] - own).min()
        > 1e-3
    )


def test_the_area_of_the_curve_over_log_snr_is_the_diffusion_term():
    model = LINEAR
    params = model.init(jax.random.key(0))
    data = coded(model, params, DATA.test.levels[:100])
    data |= {"other_mu": data["mu"], "other_logvar": data["logvar"]}
    data["gammas"] = np.tile(np.linspace(-8, 5, 40, dtype=np.float32), (100, 1))

    def estimate(terms_fn, passes):
        return evaluate_bound(terms_fn, params, data, passes=passes, batch_size=50, key=jax.random.key(0))

    curves = estimate(model.curve_terms, 1).mean
    np.testing.assert_allclose(curves["logsnr"], -data["gammas"][0], atol=1e-4)
    area = -np.trapezoid(curves["own"], curves["logsnr"])
    diffusion = estimate(model.bound_terms, 8)
    np.testing.assert_allclose(area, diffusion.mean["diffusion"], rtol=0.03)
    np.testing.assert_allclose(curves["shuffled_cost"], curves["shuffled"] - curves["own"], rtol=1e-3, atol=1e-2)


# ---- schedules, targets, weightings ---------------------------------------------------------------------------------


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
    other_loss, other = loss_and_metrics(make(deltas, unet=Model(decoder.init, apply)))
    np.testing.assert_allclose(other["diffusion"], metrics["diffusion"], rtol=1e-3)
    np.testing.assert_allclose(other_loss, loss, rtol=1e-3)


# ---- other codes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_images", [2, 3, 300])
def test_every_image_gets_the_code_of_another(key, num_images):
    others = derangement(key, num_images)
    assert np.all(others != np.arange(num_images))
    assert sorted(others.tolist()) == list(range(num_images))


def test_derangements_differ_by_key():
    first, second = (derangement(jax.random.key(seed), 300) for seed in (0, 1))
    assert np.mean(first == second) < 0.1
