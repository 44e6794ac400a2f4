"""The bound image by image, also under codes of other images; transforms against their loops."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from linear_networks import DATA, LEVELS, LINEAR, TERMS, coded, compiled, keys_of_images, linear_decoder, make

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.objective import vdm_losses
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.models.code import draw_code
from vdm_jax.models.foreign_codes import curve_terms, foreign_terms


@pytest.mark.slow
@pytest.mark.parametrize("num_steps", [None, 7])
def test_bound_terms_are_the_loss_of_each_image_from_its_own_key(num_steps):
    model = make({"diffusion.num_steps": num_steps})
    params = model.init(jax.random.key(0))
    batch, t = coded(model, params), jnp.arange(12) / 12
    found = compiled(model.terms)(params, keys_of_images(), t, batch)
    for i in range(12):
        one = slice(i, i + 1)
        key = keys_of_images()[i]
        w = draw_code(named_key(key, "code"), *(jnp.asarray(batch[name][one]) for name in ("mu", "logvar")))
        at = t[one] if num_steps is None else jnp.floor(t[one] * num_steps + 1) / num_steps
        denoise, schedule = model.denoise(params, w), model.fixed_schedule
        levels = jnp.asarray(LEVELS[one])
        terms = vdm_losses(key, levels, denoise, schedule, at, model.likelihood, num_steps=num_steps)[0]
        for name in TERMS:
            np.testing.assert_allclose(found[name][i], getattr(terms, name)[0], rtol=2e-4, atol=1e-4)
    np.testing.assert_allclose(sum(found[name] for name in (*TERMS, "rate")), found["bound"], rtol=1e-6)


@pytest.mark.slow
def test_the_mean_does_not_depend_on_the_batch_size():
    model = LINEAR
    params = model.init(jax.random.key(0))
    data = coded(model, params)
    small, whole = (
        evaluate_bound(model.terms, params, data, passes=2, batch_size=size, key=jax.random.key(0)).mean
        for size in (5, 12)
    )
    for name, value in whole.items():
        np.testing.assert_allclose(small[name], value, rtol=1e-5, err_msg=name)


@pytest.mark.slow
def test_another_code_costs_nothing_where_the_decoder_reads_none():
    model = make(network=linear_decoder(reads_w=False))
    params = model.init(jax.random.key(0))
    batch, t = coded(model, params), jnp.arange(12) / 12
    batch |= {f"other_{name}": batch[name][::-1] for name in ("mu", "logvar")} | {"prior_w": batch["mu"][::-1]}
    own = compiled(model.terms)(params, keys_of_images(), t, batch)["diffusion"]
    foreign = compiled(partial(foreign_terms, model))(params, keys_of_images(), t, batch)
    assert set(foreign) == {"diffusion_shuffled", "diffusion_from_prior"}
    for values in foreign.values():
        np.testing.assert_allclose(values, own, rtol=1e-5)


def test_another_code_costs_something_where_the_decoder_reads_it():
    model = LINEAR
    params = model.init(jax.random.key(0))
    batch, t = coded(model, params), jnp.full(12, 0.5)
    batch["logvar"] = np.full_like(batch["logvar"], -60)  # w = mu
    own = compiled(model.terms)(params, keys_of_images(), t, batch)["diffusion"]
    drawn = np.asarray(model.code.draw_prior(params, jax.random.key(7), 12))
    same = batch | {f"other_{name}": batch[name] for name in ("mu", "logvar")} | {"prior_w": drawn}
    found = compiled(partial(foreign_terms, model))(params, keys_of_images(), t, same)
    np.testing.assert_allclose(found["diffusion_shuffled"], own, rtol=1e-5)  # the other image is the same one
    assert np.abs(found["diffusion_from_prior"] - own).min() > 1e-3
    others = same | {"other_mu": batch["mu"][::-1]}
    assert (
        np.abs(
            compiled(partial(foreign_terms, model))(params, keys_of_images(), t, others)["diffusion_shuffled"] - own
        ).min()
        > 1e-3
    )


@pytest.mark.slow
def test_the_area_of_the_curve_over_log_snr_is_the_diffusion_term():
    model = LINEAR
    params = model.init(jax.random.key(0))
    data = coded(model, params, DATA.test.levels[:100])
    data |= {"other_mu": data["mu"], "other_logvar": data["logvar"], "prior_w": data["mu"]}
    data["gammas"] = np.tile(np.linspace(-8, 5, 40, dtype=np.float32), (100, 1))

    def estimate(terms_fn, passes):
        return evaluate_bound(terms_fn, params, data, passes=passes, batch_size=50, key=jax.random.key(0))

    curves = estimate(partial(curve_terms, model), 1).mean
    np.testing.assert_allclose(curves["logsnr"], -data["gammas"][0], atol=1e-4)
    area = -np.trapezoid(curves["own"], curves["logsnr"])
    diffusion = estimate(model.terms, 8)
    np.testing.assert_allclose(area, diffusion.mean["diffusion"], rtol=0.03)
    np.testing.assert_allclose(curves["shuffled_cost"], curves["shuffled"] - curves["own"], rtol=1e-3, atol=1e-2)
