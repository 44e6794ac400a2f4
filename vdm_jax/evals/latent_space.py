"""The latents of a data set compared with the prior N(0, I): moments, a Gaussian fit, MMD, each with its error.

Errors are jackknifed over `GROUPS` groups of images, so that they cover other images, not another training.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vdm_jax.base.errors import UserError
from vdm_jax.evals.information import ACTIVE_VARIANCE

GROUPS = 20  # of the jackknife
MMD_IMAGES = 2_000  # draws, at most, that are compared with the prior pair by pair
Latents = Float[np.ndarray, "n d"]


def entry(value: float, error: float | None, num: int) -> dict[str, Any]:
    """A number of a record."""
    return {"value": value, "standard_error": error, "num": num}


class Sums(NamedTuple):
    """Sums over some images of what the moments are made of; those of all but one group are a difference.

    first [D], second [D, D]: of the mean of q(u | x), less a fixed centre, and of its products. variance [D].
    """

    number: int
    first: Float[np.ndarray, " d"]
    second: Float[np.ndarray, "d d"]
    variance: Float[np.ndarray, " d"]

    def minus(self, other: "Sums") -> "Sums":
        """The sums without those of a part of the images."""
        return Sums(*(all_of - part for all_of, part in zip(self, other, strict=True)))

    def moments(self) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"], Float[np.ndarray, " d"]]:
        """The mean less the centre, the covariance of the means, and the mean variance."""
        mean = self.first / self.number
        return mean, self.second / self.number - np.outer(mean, mean), self.variance / self.number


def aggregate(mean: Latents, variance: Latents | None, draws: Latents) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the aggregate posterior q(u) = mean over images of q(u | x) has in common with N(0, I).

    mean, variance: of q(u | x), [N, D] each; a variance of None: deterministic. draws: u of images, [M, D].

    `mean_norm` and `gaussian_kl` are biased upwards: N draws from N(0, I) itself give about sqrt(D / N) and
    D (D + 3) / (4 N) nats. Their entries hold these numbers as "of_prior_draws". Values of other N or D differ by that.

    Returns:
        `active_units`: dimensions whose mean has a variance above 0.01 (Burda et al. 2016); `mean_norm`: ||E u||;
        `covariance_eigenvalues`: of Cov[u] = Cov[mean] + E[variance], the largest first, and their
        `covariance_eigenvalues_standard_error`; `leading_eigenvalue`; `gaussian_kl`: KL(N(E u, Cov u) || N(0, I)),
        nats, None where Cov u is singular; `mmd`: the unbiased MMD² of the first `MMD_IMAGES` draws and N(0, I)
        (`diffusion.rate_code`). And arrays: "mean_covariance" [D, D], and of noisy codes "kl_per_dim" [D], the mean KL
        of each dimension, nats.
    """
    number, dims = mean.shape
    centre = mean.mean(axis=0, dtype=np.float64)
    step = max(1, min(GROUPS, number // 2))
    groups = [sums(mean[i::step], None if variance is None else variance[i::step], centre) for i in range(step)]
    total = Sums(*(sum(parts) for parts in zip(*groups, strict=True)))
    whole = total.moments()
    values, eigenvalues = _statistics(*whole, centre)
    each = [_statistics(*total.minus(group).moments(), centre) for group in groups] if step > 1 else []
    found: dict[str, Any] = {
        name: jackknife(value, [other[name] for other, _ in each], number) for name, value in values.items()
    }
    found["mean_norm"]["of_prior_draws"] = float(np.sqrt(dims / number))
    found["gaussian_kl"]["of_prior_draws"] = dims * (dims + 3) / (4 * number)
    found["covariance_eigenvalues"] = eigenvalues.tolist()
    found["covariance_eigenvalues_standard_error"] = [
        jackknife(value, [other[i] for _, other in each], number)["standard_error"]
        for i, value in enumerate(eigenvalues)
    ]
    found["mmd"] = mmd(draws[:MMD_IMAGES].astype(np.float64))
    arrays = {"mean_covariance": whole[1].astype(np.float32)}
    if variance is not None:
        log_variance = np.log(variance).mean(axis=0, dtype=np.float64)
        kl = 0.5 * (centre**2 + np.diag(whole[1]) + whole[2] - log_variance - 1)
        arrays["kl_per_dim"] = kl.astype(np.float32)
    return found, arrays


def sums(mean: Latents, variance: Latents | None, centre: Float[np.ndarray, " d"]) -> Sums:
    """The sums over one group of images."""
    centred = mean - centre
    noise = np.zeros(len(centre)) if variance is None else variance.sum(axis=0, dtype=np.float64)
    return Sums(len(mean), centred.sum(axis=0), centred.T @ centred, noise)


def _statistics(
    mean: Float[np.ndarray, " d"],
    covariance: Float[np.ndarray, "d d"],
    variance: Float[np.ndarray, " d"],
    centre: Float[np.ndarray, " d"],
) -> tuple[dict[str, float | None], Float[np.ndarray, " d"]]:
    """The numbers that are functions of the moments, and the eigenvalues of Cov u, the largest first."""
    eigenvalues = np.linalg.eigvalsh(covariance + np.diag(variance))
    found = {
        "active_units": float(np.count_nonzero(np.diag(covariance) > ACTIVE_VARIANCE)),
        "mean_norm": float(np.linalg.norm(centre + mean)),
        "leading_eigenvalue": float(eigenvalues[-1]),
        "gaussian_kl": kl_of_eigenvalues(centre + mean, eigenvalues),
    }
    return found, eigenvalues[::-1]


def gaussian_kl(mean: Float[np.ndarray, " d"], covariance: Float[np.ndarray, "d d"]) -> float | None:
    """KL(N(mean, covariance) || N(0, I)) = ½ (tr C + ||mean||² - D - ln det C), nats; None where C is singular."""
    return kl_of_eigenvalues(mean, np.linalg.eigvalsh(covariance))


def kl_of_eigenvalues(mean: Float[np.ndarray, " d"], values: Float[np.ndarray, " d"]) -> float | None:
    """`gaussian_kl` from the eigenvalues of the covariance, the smallest first."""
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
    return jackknife(value, [statistic(np.flatnonzero(left_out != group)) for group in range(groups)], number)


def jackknife(value: float | None, each: list[float | None], number: int) -> dict[str, Any]:
    """A statistic of N images with its standard error, from its values without one group of them at a time; no error
    for fewer than two groups, or where one of the values is None."""
    if value is None or len(each) < 2 or any(one is None for one in each):
        return entry(value, None, number)
    return entry(value, float(np.sqrt((len(each) - 1) * np.var(np.asarray(each, np.float64)))), number)


def share(hits: np.ndarray) -> dict[str, Any]:
    """The share of True with its binomial standard error."""
    value = float(np.mean(hits))
    return entry(value, float(np.sqrt(value * (1 - value) / len(hits))), len(hits))
