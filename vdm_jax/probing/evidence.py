"""The probe of how well and how surely matched filters match: what tells z_t of a chain from noised data.

With the true templates its first number is log p(z_t) of noised data, its second how much of x is still open.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.optimal import inverse_variance
from vdm_jax.probing.matched import SHARPEST, amplified, init_matched, match_logits, read_marginals

NUMBERS = ("log_evidence", "entropy", "sum", "energy")  # of z_t
LEAST_NOISE = 0.05  # part of what matched filters take for sigma² below which noise counts as so much


def init_evidence(
    num_outputs: int,
    num_templates: int,
    window: int,
    key: Key[Array, ""],
    examples: Float[Array, "e h w c"],
    targets: Float[Array, "e o"] | None = None,
    categorical: Bool[Array, " o"] | None = None,
) -> dict[str, PyTree]:
    """Those of `init_matched`, the background, which is that of the examples on average, one for all channels, and what
    is read off `NUMBERS`: nothing at first. Without targets a fresh probe says nothing at all."""
    params = init_matched(num_outputs, num_templates, window, key, examples, targets, categorical)
    if targets is None:
        params["readout"] = jax.tree.map(jnp.zeros_like, params["readout"])
    background = jnp.median(examples.reshape(len(examples), -1), axis=1).mean()
    return params | {"of_numbers": jnp.zeros((len(NUMBERS), num_outputs)), "background": background}


def apply_evidence(
    params: dict[str, PyTree],
    z: Float[Array, "b h w c"],
    gamma: Float[Array, ""],
    categorical: Bool[Array, " o"],
) -> Float[Array, "b o"]:
    """What matched filters say, and a linear map of the numbers of z_t."""
    logits = match_logits(params, z, gamma)
    found = jax.checkpoint(numbers)(params["background"], z, gamma, logits)  # cheaper made again than kept
    return read_marginals(params, logits, categorical) + found @ amplified(params["of_numbers"])


def numbers(
    background: Float[Array, ""],
    z: Float[Array, "b h w c"],
    gamma: Float[Array, ""],
    logits: Float[Array, "n k j y b"],
) -> Float[Array, "b 4"]:
    """`NUMBERS` of each z: log p(z) under a mixture of all templates at all places on the background, but for the
    constant of the normal distribution; the entropy of which of them it is, nats; the sums of z and of z². All but the
    entropy less what the background and noise make of them on average, in units of what noise alone makes of them.
    Where 1/sigma² is more than matched filters take, log p(z) and the entropy are those of the sigma² they take; noise
    of less than `LEAST_NOISE` of that sigma² makes less than one unit.
    """
    alpha, sigma = alpha_sigma(gamma)
    precision = jnp.minimum(inverse_variance(gamma), SHARPEST / alpha)
    flat, z = logits.reshape(-1, logits.shape[-1]), z.reshape(z.shape[0], -1)
    num, dims = flat.shape[0], z.shape[1]
    log_sum = jax.nn.logsumexp(flat, axis=0)
    entropy = log_sum - jnp.sum(jax.nn.softmax(flat, axis=0) * flat, axis=0)
    from_background = jnp.sum((z - alpha * background) ** 2, axis=1)
    taken = jnp.maximum(precision * sigma**2, LEAST_NOISE)  # 1, unless matched filters take more noise than there is
    log_evidence = log_sum - jnp.log(num) - 0.5 * precision * (from_background - sigma**2 * dims)
    total = jnp.sum(z, axis=1) - alpha * background * dims
    energy = jnp.sum(z**2, axis=1) - (alpha**2 * background**2 + sigma**2) * dims
    units = jnp.sqrt(jnp.array([dims / 2, 1.0, dims, 2 * dims]))
    return jnp.stack([log_evidence / taken, entropy, total, energy], axis=1) / units[None]
