"""The latents of a data set compared with the prior N(0, I): moments, a Gaussian fit, MMD, each with its error.

Errors are jackknifed over `GROUPS` groups of images, so that they cover other images, not another training.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from vdm_jax.base.errors import UserError

GROUPS = 20  # of the jackknife
MMD_IMAGES = 2_000  # draws, at most, that are compared with the prior pair by pair
Latents = Float[np.ndarray, "n d"]


def entry(value: float, error: float | None, num: int) -> dict[str, Any]:
    """A number of a record."""
    return {"value": value, "standard_error": error, "num": num}


def aggregate(mean: Latents, variance: Latents | None, draws: Latents) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the aggregate posterior q(u) = mean over images of q(u | x) has in common with N(0, I).

    mean, variance: of q(u | x), [N, D] each; a variance of None: deterministic. draws: u of each image, [N, D].

    Returns:
        `mean_norm`: ||E u||; `covariance_eigenvalues`: of Cov[u] = Cov[mean] + E[variance], the largest first;
        `leading_eigenvalue`; `gaussian_kl`: KL(N(E u, Cov u) || N(0, I)), nats, None where Cov u is singular; `mmd`:
        the unbiased MMD² of the draws and N(0, I) (`diffusion.rate_code`). And arrays: "mean_covariance" [D, D], and of
        noisy codes "kl_per_dim" [D], the mean KL of each dimension, nats.
    """
    mean = mean.astype(np.float64)
    noise = np.zeros(mean.shape[1]) if variance is None else variance.astype(np.float64).mean(axis=0)
    covariance = np.cov(mean, rowvar=False, bias=True).reshape(mean.shape[1], mean.shape[1])
    eigenvalues = np.linalg.eigvalsh(covariance + np.diag(noise))[::-1]

    def moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        part = mean[rows]
        added = noise if variance is None else variance[rows].astype(np.float64).mean(axis=0)
        return part.mean(axis=0), np.cov(part, rowvar=False, bias=True).reshape(covariance.shape) + np.diag(added)

    number = len(mean)
    found: dict[str, Any] = {
        "mean_norm": jackknifed(lambda rows: float(np.linalg.norm(moments(rows)[0])), number),
        "covariance_eigenvalues": eigenvalues.tolist(),
        "leading_eigenvalue": jackknifed(lambda rows: float(np.linalg.eigvalsh(moments(rows)[1])[-1]), number),
        "gaussian_kl": jackknifed(lambda rows: gaussian_kl(*moments(rows)), number),
        "mmd": mmd(draws[:MMD_IMAGES].astype(np.float64)),
    }
    arrays = {"mean_covariance": covariance.astype(np.float32)}
    if variance is not None:
        kl = 0.5 * (mean**2 + variance - np.log(variance) - 1)
        arrays["kl_per_dim"] = kl.mean(axis=0).astype(np.float32)
    return found, arrays


def gaussian_kl(mean: Float[np.ndarray, " d"], covariance: Float[np.ndarray, "d d"]) -> float | None:
    """KL(N(mean, covariance) || N(0, I)) = ½ (tr C + ||mean||² - D - ln det C), nats; None where C is singular."""
    values = np.linalg.eigvalsh(covariance)
    if values[0] <= 1e-12 * max(values[-1], 1e-300):
        return None
    return float(0.5 * (values.sum() + mean @ mean - len(mean) - np.log(values).sum()))


def mmd(draws: Latents) -> dict[str, Any]:
    """The unbiased MMD² of draws [N, D] and N(0, I), with the kernel exp(-||u - v||²/(2 D)).

    The same as the mean of `diffusion.rate_code.mmd_to_standard_normal`; its error is jackknifed.
    """
    number, dims = draws.shape
    if number < 2:
        raise UserError(f"{number} latents; the MMD compares at least 2")
    squares = (draws**2).sum(axis=1)
    kernel = np.exp(-np.maximum(squares[:, None] + squares[None, :] - 2 * draws @ draws.T, 0) / (2 * dims))
    np.fill_diagonal(kernel, 0.0)
    to_prior = (dims / (dims + 1)) ** (dims / 2) * np.exp(-squares / (2 * (dims + 1)))
    constant = (dims / (dims + 2)) ** (dims / 2)

    def of(rows: np.ndarray) -> float:
        among = kernel[np.ix_(rows, rows)].sum() / (len(rows) * (len(rows) - 1))
        return float(among - 2 * to_prior[rows].mean() + constant)

    return jackknifed(of, number)


def jackknifed(statistic: Callable[[np.ndarray], float | None], number: int) -> dict[str, Any]:
    """A statistic of rows 0 … N-1 with its standard error, by leaving out groups of rows."""
    value = statistic(np.arange(number))
    groups = min(GROUPS, number // 2)
    if value is None or groups < 2:
        return entry(value, None, number)
    left_out = np.arange(number) % groups
    each = [statistic(np.flatnonzero(left_out != group)) for group in range(groups)]
    if any(one is None for one in each):
        return entry(value, None, number)
    error = np.sqrt((groups - 1) * np.var(np.asarray(each)))
    return entry(value, float(error), number)


def share(hits: np.ndarray) -> dict[str, Any]:
    """The share of True with its binomial standard error."""
    value = float(np.mean(hits))
    return entry(value, float(np.sqrt(value * (1 - value) / len(hits))), len(hits))
