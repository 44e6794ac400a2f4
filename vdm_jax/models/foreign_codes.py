"""What a code is worth: the diffusion term under the own code, under that of another image, under one of the prior."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.objective import integrand_by_logsnr
from vdm_jax.models.code import TimedCode, draw_code
from vdm_jax.models.diffusion import DiffusionModel
from vdm_jax.models.terms import one_by_one

OF_OTHERS = ("other_mu", "other_logvar", "other_levels", "prior_w", "labels")  # what a batch may hold of them


def foreign_terms(
    model: DiffusionModel, params: PyTree, keys: Key[Array, " b"], t: Float[Array, " b"], batch: dict[str, Array]
) -> dict[str, Array]:
    """The diffusion term, nats, with w of another image ("other_mu", "other_logvar"; of E(x, t) "other_levels") and,
    where there is "prior_w", one from the prior. Labels stay those of the image.

    The same keys draw the same noise as in `DiffusionModel.terms`.
    """
    names = [name for name in OF_OTHERS if name in batch]

    def one(key, t, data, *values):
        given = dict(zip(names, values, strict=True))
        codes = {"diffusion_shuffled": _other_code(model, named_key(key, "other_code"), given)}
        if "prior_w" in given:
            codes["diffusion_from_prior"] = given["prior_w"]
        codes = {name: _beside(model, w, given.get("labels")) for name, w in codes.items()}

        def diffusion(w):
            return model.losses(key, params, data, model.code.at(params, w, t), t).terms.diffusion

        return _under_each(codes, diffusion)

    return one_by_one(one, keys, model.in_chain(t), batch["levels"], *(batch[name] for name in names))


def curve_terms(
    model: DiffusionModel, params: PyTree, keys: Key[Array, " b"], _: Float[Array, " b"], batch: dict[str, Array]
) -> dict[str, Array]:
    """½||eps - eps_hat||² at batch["gammas"], [B, M]: under the own code ("own"), another's, and one from the prior.

    With a code also the costs of the other codes, `…_cost`: the difference under the same noise. Without a code "own"
    alone.
    """
    names = [name for name in ("mu", "logvar", *OF_OTHERS) if name in batch]

    def one(key, data, gammas, *values):
        given, codes = dict(zip(names, values, strict=True)), {}
        x, schedule = model.to_x(data), model.schedule(params)
        if model.code is not None:
            codes = {
                "own": _code_of(model, named_key(key, "code"), x, given.get("mu"), given.get("logvar")),
                "shuffled": _other_code(model, named_key(key, "other_code"), given),
            }
            if "prior_w" in given:
                codes["from_prior"] = given["prior_w"]
        elif "labels" in given:
            codes = {"own": None}
        codes = {name: _beside(model, w, given.get("labels")) for name, w in codes.items()}

        def curve(w):
            logsnr, values = integrand_by_logsnr(key, x, model.denoise(params, w), schedule, gammas.reshape(-1))
            return {"logsnr": logsnr.reshape(1, -1), "values": values.reshape(1, -1)}

        found = _under_each(codes, curve) if codes else {"own": curve(None)}
        curves = {name: of_code["values"] for name, of_code in found.items()}
        costs = {f"{name}_cost": curves[name] - curves["own"] for name in curves if name != "own"}
        return curves | costs | {"logsnr": found["own"]["logsnr"]}

    return one_by_one(one, keys, batch["levels"], batch["gammas"], *(batch[name] for name in names))


def _code_of(
    model: DiffusionModel, key: Key[Array, ""], x: Array | None, mu: Array | None, logvar: Array | None
) -> PyTree:
    """A draw of the code of one image; of E(x, t) for all times."""
    if model.has_moments:
        return draw_code(key, mu, logvar)
    return TimedCode(x, jax.random.normal(key, (1, model.code.w_dim)))


def _other_code(model: DiffusionModel, key: Key[Array, ""], given: dict[str, Array]) -> PyTree:
    """A draw of the code of the other image."""
    x = None if model.has_moments else model.to_x(given["other_levels"])
    return _code_of(model, key, x, given.get("other_mu"), given.get("other_logvar"))


def _beside(model: DiffusionModel, w: PyTree, labels: Array | None) -> PyTree:
    """The code with the label, where the model reads it."""
    if labels is None:
        return w
    return w._replace(beside=model.condition(None, labels)) if isinstance(w, TimedCode) else model.condition(w, labels)


def _under_each(codes: dict[str, PyTree], of_code: Callable[[Any], PyTree]) -> dict[str, PyTree]:
    """`of_code` of each code, one after the other in a loop: the network is compiled once for all of them."""
    found = jax.lax.map(of_code, jax.tree.map(lambda *leaves: jnp.stack(leaves), *codes.values()))
    return {name: jax.tree.map(lambda leaf, i=i: leaf[i], found) for i, name in enumerate(codes)}
