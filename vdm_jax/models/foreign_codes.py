"""What a code is worth: the diffusion term under the own code, under that of another image, under one of the prior."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.objective import integrand_by_logsnr
from vdm_jax.models.code import draw_code
from vdm_jax.models.diffusion import DiffusionModel
from vdm_jax.models.terms import one_by_one


def foreign_terms(
    model: DiffusionModel, params: PyTree, keys: Key[Array, " b"], t: Float[Array, " b"], batch: dict[str, Array]
) -> dict[str, Array]:
    """The diffusion term, nats, with w of another image ("other_mu", "other_logvar") and one from the prior
    ("prior_w").

    The same keys draw the same noise as in `DiffusionModel.terms`.
    """

    def one(key, t, data, mu, logvar, from_prior):
        shuffled = draw_code(named_key(key, "other_code"), mu, logvar)
        codes = {"diffusion_shuffled": shuffled, "diffusion_from_prior": from_prior}
        return {name: model.losses(key, params, data, w, t).terms.diffusion for name, w in codes.items()}

    names = ("levels", "other_mu", "other_logvar", "prior_w")
    return one_by_one(one, keys, model.in_chain(t), *(batch[name] for name in names))


def curve_terms(
    model: DiffusionModel, params: PyTree, keys: Key[Array, " b"], _: Float[Array, " b"], batch: dict[str, Array]
) -> dict[str, Array]:
    """½||eps - eps_hat||² at batch["gammas"], [B, M]: under the own code ("own"), another's, and one from the prior.

    With a code also the costs of the other codes, `…_cost`: the difference under the same noise. Without a code "own"
    alone.
    """

    def one(key, data, gammas, *given):
        codes = {"own": None}
        if model.code is not None:
            mu, logvar, other_mu, other_logvar, from_prior = given
            codes = {
                "own": draw_code(named_key(key, "code"), mu, logvar),
                "shuffled": draw_code(named_key(key, "other_code"), other_mu, other_logvar),
                "from_prior": from_prior,
            }
        x, schedule = model.to_x(data), model.schedule(params)
        curves, logsnr = {}, jnp.zeros(0)
        for name, w in codes.items():
            logsnr, values = integrand_by_logsnr(key, x, model.denoise(params, w), schedule, gammas.reshape(-1))
            curves[name] = values.reshape(1, -1)
        costs = {f"{name}_cost": curves[name] - curves["own"] for name in curves if name != "own"}
        return curves | costs | {"logsnr": logsnr.reshape(1, -1)}

    of_codes = ("mu", "logvar", "other_mu", "other_logvar", "prior_w") if model.code is not None else ()
    return one_by_one(one, keys, *(batch[name] for name in ("levels", "gammas", *of_codes)))
