"""A probe of how well matched filters match, which separates z_t of a chain from noised data.

With the true templates its first statistic is log p(z_t) of noised data and its second the entropy of p(x | z_t).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.rows import inverse_variance
from vdm_jax.probing.matched import SHARPEST, amplified, init_matched, match_logits, read_marginals

STATISTICS = ("log_evidence", "entropy", "sum", "energy")  # of z_t
LEAST_NOISE = 0.05  # of the sigma² that matched filters assume; less noise counts as this much


def init_matched_statistics(
    num_outputs: int,
    num_templates: int,
    window: int,
    key: Key[Array, ""],
    examples: Float[Array, "e h w c"],
    targets: Float[Array, "e o"] | None = None,
    categorical: Bool[Array, " o"] | None = None,
) -> dict[str, PyTree]:
    """The parameters of `init_matched`; the background, the mean of the examples' medians over all channels; and the
    readout of `STATISTICS`, 0 at first. Without targets all outputs of a fresh probe are constant."""
    params = init_matched(num_outputs, num_templates, window, key, examples, targets, categorical)
    if targets is None:
        params["readout"] = jax.tree.map(jnp.zeros_like, params["readout"])
    background = jnp.median(examples.reshape(len(examples), -1), axis=1).mean()
    return params | {"of_numbers": jnp.zeros((len(STATISTICS), num_outputs)), "background": background}


def apply_matched_statistics(
    params: dict[str, PyTree],
    z: Float[Array, "b h w c"],
    gamma: Float[Array, ""],
    categorical: Bool[Array, " o"],
) -> Float[Array, "b o"]:
    """The outputs of matched filters plus a linear map of the statistics of z_t."""
    logits = match_logits(params, z, gamma)
    found = jax.checkpoint(statistics_of)(params["background"], z, gamma, logits)  # cheaper to recompute than to keep
    return read_marginals(params, logits, categorical) + found @ amplified(params["of_numbers"])


def statistics_of(
    background: Float[Array, ""],
    z: Float[Array, "b h w c"],
    gamma: Float[Array, ""],
    logits: Float[Array, "n k j y b"],
) -> Float[Array, "b 4"]:
    """`STATISTICS` of each z, [B, 4].

    log_evidence: log p(z) under a mixture of all templates at all places on the background, without the constant of the
    normal distribution. entropy: of the mixture's component given z, nats. sum, energy: of z and of z². All but the
    entropy are less their mean for background and noise, in units of their deviation under noise alone. Where 1/sigma²
    exceeds what matched filters take, the first two assume the sigma² that they take; noise of less than `LEAST_NOISE`
    of that sigma² makes less than one unit.
    """
    alpha, sigma = alpha_sigma(gamma)
    precision = jnp.minimum(inverse_variance(gamma), SHARPEST / alpha)
    flat, z = logits.reshape(-1, logits.shape[-1]), z.reshape(z.shape[0], -1)
    num, dims = flat.shape[0], z.shape[1]
    log_sum = jax.nn.logsumexp(flat, axis=0)
    entropy = log_sum - jnp.sum(jax.nn.softmax(flat, axis=0) * flat, axis=0)
    from_background = jnp.sum((z - alpha * background) ** 2, axis=1)
    taken = jnp.maximum(precision * sigma**2, LEAST_NOISE)  # 1, unless matched filters assume more noise
    log_evidence = log_sum - jnp.log(num) - 0.5 * precision * (from_background - sigma**2 * dims)
    total = jnp.sum(z, axis=1) - alpha * background * dims
    energy = jnp.sum(z**2, axis=1) - (alpha**2 * background**2 + sigma**2) * dims
    units = jnp.sqrt(jnp.array([dims / 2, 1.0, dims, 2 * dims]))
    return jnp.stack([log_evidence / taken, entropy, total, energy], axis=1) / units[None]
