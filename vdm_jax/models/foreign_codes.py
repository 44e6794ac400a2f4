"""What a code is worth: the diffusion term under the own code, under that of another image, under one of the prior."""

from collections.abc import Callable

import jax
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
        return _under_each(codes, lambda w: model.losses(key, params, data, w, t).terms.diffusion)

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
        codes = {}
        if model.code is not None:
            mu, logvar, other_mu, other_logvar, from_prior = given
            codes = {
                "own": draw_code(named_key(key, "code"), mu, logvar),
                "shuffled": draw_code(named_key(key, "other_code"), other_mu, other_logvar),
                "from_prior": from_prior,
            }
        x, schedule = model.to_x(data), model.schedule(params)

        def curve(w):
            logsnr, values = integrand_by_logsnr(key, x, model.denoise(params, w), schedule, gammas.reshape(-1))
            return {"logsnr": logsnr.reshape(1, -1), "values": values.reshape(1, -1)}

        found = _under_each(codes, curve) if model.code is not None else {"own": curve(None)}
        curves = {name: of_code["values"] for name, of_code in found.items()}
        costs = {f"{name}_cost": curves[name] - curves["own"] for name in curves if name != "own"}
        return curves | costs | {"logsnr": found["own"]["logsnr"]}

    of_codes = ("mu", "logvar", "other_mu", "other_logvar", "prior_w") if model.code is not None else ()
    return one_by_one(one, keys, *(batch[name] for name in ("levels", "gammas", *of_codes)))


def _under_each(codes: dict[str, Array], of_code: Callable[[Array], PyTree]) -> dict[str, PyTree]:
    """`of_code` of each code, one after the other in a loop: the network is compiled once for all of them."""
    found = jax.lax.map(of_code, jnp.stack(list(codes.values())))
    return {name: jax.tree.map(lambda leaf, i=i: leaf[i], found) for i, name in enumerate(codes)}
