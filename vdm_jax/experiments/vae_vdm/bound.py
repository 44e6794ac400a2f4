"""The bound on test images, term by term, under the own code and under others, as numbers and as a curve."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.progress import bar
from vdm_jax.evals.bpd import evaluate_bound, in_units, summarise
from vdm_jax.evals.codes import derangement
from vdm_jax.experiments.common.codes import encode_all, prior_codes
from vdm_jax.models.diffusion import DiffusionModel
from vdm_jax.models.foreign_codes import curve_terms, foreign_terms

FOREIGN_KEYS = tuple(
    f"diffusion_{name}_nats" for name in ("shuffled", "shuffled_cost", "from_prior", "from_prior_cost")
)


def with_codes(
    model: DiffusionModel,
    params: PyTree,
    levels: Integer[np.ndarray, "n h w c"],
    labels: Int[np.ndarray, " n"] | None,
    key: Key[Array, ""],
    batch_size: int,
) -> dict[str, np.ndarray]:
    """Images, and labels for a model that reads them; with a code also the moments of their codes, those of another
    image each, and codes from the prior. E(x, t) has no moments; the other images take their place."""
    images = {"levels": levels} | ({"labels": labels} if model.num_labels else {})
    if model.code is None:
        return images
    others = derangement(named_key(key, "order"), len(levels))
    if not model.has_moments:
        return images | {"other_levels": levels[others]}
    mu, logvar = encode_all(model, params, levels, batch_size)
    images |= {"mu": mu, "logvar": logvar, "other_mu": mu[others], "other_logvar": logvar[others]}
    if not model.code.has_prior:
        return images
    return images | {"prior_w": prior_codes(model.code, params, named_key(key, "prior"), len(levels))}


def measure_bound(
    model: DiffusionModel, params: PyTree, images: dict[str, np.ndarray], key: Key[Array, ""], config: ConfigDict
) -> tuple[dict[str, Any], Float[np.ndarray, " n"] | None]:
    """(numbers, D + R of each image, nats, None where that is no bound): `bpd`, the bound D + R; each term as `…_bpd`
    and `…_nats`; each with `…_standard_error` over images.

    With the conditional score also `score_loss`, J. With a code also the diffusion term where w is that of another
    image (`diffusion_shuffled_…`) and where it is drawn from the prior (`diffusion_from_prior_…`), and the differences
    to that under the own w (`…_cost_…`).
    """
    settings = {"passes": config.passes, "batch_size": config.batch_size, "key": key, "place": across_devices}
    of_own = ("levels", "mu", "logvar", "labels")  # those of the validation: the same program
    own = {name: images[name] for name in of_own if name in images}
    estimate = evaluate_bound(model.terms, params, own, progress=bar("evaluate: bound"), **settings)
    means, errors = dict(estimate.mean), dict(estimate.standard_error)
    if model.code is not None:
        of_others = partial(foreign_terms, model)
        foreign = evaluate_bound(of_others, params, images, progress=bar("evaluate: other codes"), **settings)
        paid = estimate.per_image["diffusion"]  # under the same noise: the difference has less variance than its parts
        costs = summarise({f"{name}_cost": values - paid for name, values in foreign.per_image.items()}, config.passes)
        means |= foreign.mean | costs.mean
        errors |= foreign.standard_error | costs.standard_error
    for of in (means, errors):
        of.pop("bpd", None)  # `in_units` makes it of the bound
    found = {}
    if "score_loss" in means:
        found = {"score_loss": float(means.pop("score_loss"))}
        found["score_loss_standard_error"] = float(errors.pop("score_loss"))
    found |= in_units(means, errors, model.num_dims)
    found |= {"num_dims": model.num_dims, "num_images": estimate.num_images, "passes": estimate.passes}
    return found, estimate.per_image.get("bound")


def measure_curves(
    model: DiffusionModel, params: PyTree, images: dict[str, np.ndarray], key: Key[Array, ""], config: ConfigDict
) -> tuple[dict[str, np.ndarray], Float[np.ndarray, "n m"]]:
    """(curves, `own` of each image): ½ E||eps - eps_hat||² over log SNR, nats per unit of it: `own`, with a code also
    `shuffled` and `from_prior` and their costs, `…_cost`; each [M] with its standard error `…_se`; over the first
    `config.curve_images` images."""
    schedule = model.schedule(params)
    first, last = (float(schedule.gamma(jnp.float32(t))) for t in (schedule.t_first, 1.0))
    images = {name: values[: config.curve_images] for name, values in images.items()}
    gammas = np.linspace(first, last, config.curve_points, dtype=np.float32)
    images["gammas"] = np.tile(gammas, (len(images["levels"]), 1))
    estimate = evaluate_bound(
        partial(curve_terms, model),
        params,
        images,
        passes=config.curve_passes,
        batch_size=config.batch_size,
        key=key,
        progress=bar("evaluate: curve over log SNR"),
        place=across_devices,
    )
    errors = {f"{name}_se": error for name, error in estimate.standard_error.items() if name != "logsnr"}
    curves = estimate.mean | errors | {"num_images": np.array(estimate.num_images)}
    return curves, estimate.per_image["own"]
