"""The bound on -log p(image) through a decoder: E_q[-log p(image | x) + log q(x | image) + L(x)], L(x) >= -log p(x).

x are latents with q(x | image) = N(mean, variance), p(x) the model of latents. Terms are functions for
`evals.bpd.evaluate_bound`; with one key they are of the same draws x.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import sum_values
from vdm_jax.evals.bpd import TermsFn, summarise
from vdm_jax.evals.latents.denoising import draw_latents

DETERMINISTIC = "a code without noise has no density q(u | x): its rate is infinite"
UNIFORM = 0.1  # the least density of times
NO_LIKELIHOOD = "the decoder of the space has no likelihood p(x | u)"


def code_terms(log_prob: Callable[..., Float[Array, " b"]]) -> TermsFn:
    """-log p(image | x) as "distortion" and E_q[log q(x | image)] as "negative_entropy", nats.

    log_prob: `(params, levels, x) -> [B]`. Batches have "levels", "mean" and "variance".
    """

    def terms(params, keys, _, batch):
        x = draw_latents(keys, batch["mean"], batch["variance"])
        entropy = 0.5 * (1 + math.log(2 * math.pi) + jnp.log(batch["variance"]))
        return {"distortion": -log_prob(params, batch["levels"], x), "negative_entropy": -sum_values(entropy)}

    return terms


def density_terms(
    density: Callable[[PyTree, Key[Array, " b"], Float[Array, "b ..."], Float[Array, " b"]], Float[Array, " b"]],
) -> TermsFn:
    """L(x), at least -log p(x) in the mean over its draws, as "density", nats.

    density: `(params, keys, x, t) -> [B]`, t uniform on [0, 1). Batches have "mean" and "variance".
    """

    def terms(params, keys, t, batch):
        x = draw_latents(keys, batch["mean"], batch["variance"])
        return {"density": density(params, named_key(keys, "density"), x, t)}

    return terms


class TimeProposal(NamedTuple):
    """Times drawn more often where the integrand of a bound is expected to be large. A pytree.

    share: the probabilities of J equal parts of [0, 1).
    """

    share: Float[Array, " j"]

    def draw(self, u: Float[Array, " b"]) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
        """Times from u uniform on [0, 1), by the inverse of the distribution, and 1/density at each: their average
        times an integrand is its integral."""
        ends, number = jnp.cumsum(self.share), self.share.size
        part = jnp.minimum(jnp.searchsorted(ends, u, side="right"), number - 1)
        inside = jnp.clip((u - (ends - self.share)[part]) / self.share[part], 0.0, 0.9999)
        return (part + inside) / number, 1 / (number * self.share[part])


def time_proposal(integrand: Float[np.ndarray, " j"]) -> TimeProposal:
    """Times with a density that follows the integrand, given on J equal parts of [0, 1), and is at least `UNIFORM`."""
    share = np.maximum(np.asarray(integrand, np.float64), 0.0)
    share = share / share.sum() if share.sum() > 0 else np.full(len(share), 1 / len(share))
    return TimeProposal(jnp.asarray((1 - UNIFORM) * share + UNIFORM / len(share), jnp.float32))


def latent_bound(
    code: dict[str, Float[np.ndarray, " n"]],
    density: Float[np.ndarray, " n"],
    prior: Float[np.ndarray, " n"],
) -> dict[str, Any]:
    """The bound of N images and its parts, nats, each with `…_standard_error` over images.

    code: of `code_terms`. density: of `density_terms`. prior: the same of the prior, whose bound
    `bound_minus_prior_nats` is taken against, image by image.
    """
    rate = code["negative_entropy"] + density
    each = {"bound": code["distortion"] + rate, "distortion": code["distortion"], "rate": rate}
    found = summarise(each | {"bound_minus_prior": density - prior}, 1)
    return {
        f"{name}_nats{suffix}": float(values[name])
        for name in found.mean
        for suffix, values in (("", found.mean), ("_standard_error", found.standard_error))
    }
