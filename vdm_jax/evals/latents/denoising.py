"""How well a model denoises latents, compared with the best linear denoiser, by timestep.

Both currencies are given, per component: ||x - x_hat||²/D and ||eps - eps_hat||²/D. At a timestep one is exp(gamma)
times the other, so that their ratios to the linear denoiser agree; averages over timesteps weigh them differently.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.keys import named_key, normal
from vdm_jax.diffusion.gaussian import noised, sum_values
from vdm_jax.diffusion.prediction import Denoise
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.evals.bpd import TermsFn, evaluate_bound

CURRENCIES = ("x", "eps")
FEWEST_IN_A_PART = 64  # noise levels over which the error of the linear denoiser is averaged


class DenoisingErrors(NamedTuple):
    """Errors per component of N examples in M equal parts of the time, the least noise first."""

    x: Float[np.ndarray, "n m"]  # ||x - x_hat||²/D
    eps: Float[np.ndarray, "n m"]  # ||eps - eps_hat||²/D
    time: Float[np.ndarray, " m"]  # the mean t of a part
    logsnr: Float[np.ndarray, " m"]  # the mean log SNR of a part


def linear_errors(
    eigenvalues: Float[np.ndarray, " d"], gammas: Float[np.ndarray, " m"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """The errors per component of the best linear denoiser at noise levels `gammas`, of x and of eps.

    eigenvalues: λ of the covariance of the latents. mean_d λ sigma²/(alpha² λ + sigma²) and
    mean_d alpha² λ/(alpha² λ + sigma²): for Gaussian latents no denoiser has less. Averaged over t = 1 … 1000, λ = 1,
    that of x is 0.7245 under DDPM's linear table and 0.5044 under the cosine table.
    """
    alpha2, sigma2 = (1 / (1 + np.exp(sign * np.asarray(gammas, np.float64)[:, None])) for sign in (1, -1))
    values = np.asarray(eigenvalues, np.float64)[None]
    total = alpha2 * values + sigma2
    return (values * sigma2 / total).mean(axis=1), (alpha2 * values / total).mean(axis=1)


def gammas_of_parts(
    schedule: Schedule, in_chain: Callable[[Float[Array, " b"]], Float[Array, " b"]], num_parts: int
) -> Float[np.ndarray, "m j"]:
    """The noise levels of each of M equal parts of the time, evenly spread over it."""
    number = max(FEWEST_IN_A_PART, -(-(schedule.num_steps or 0) // num_parts))
    times = in_chain(jnp.asarray((np.arange(num_parts * number) + 0.5) / (num_parts * number), jnp.float32))
    return np.asarray(schedule.gamma(times)).reshape(num_parts, number)


def draw_latents(
    keys: Key[Array, " b"], mean: Float[Array, "b ..."], variance: Float[Array, "b ..."] | None
) -> Float[Array, "b ..."]:
    """x ~ N(mean, variance), one for each key; the mean where the variance is None."""
    return mean if variance is None else mean + jnp.sqrt(variance) * normal(named_key(keys, "x"), mean.shape)


def denoising_terms(
    denoise: Callable[[PyTree], Denoise],
    schedule: Schedule,
    in_chain: Callable[[Float[Array, " b"]], Float[Array, " b"]],
    num_parts: int,
) -> TermsFn:
    """A function for `measure_denoising`.

    denoise: of the parameters. in_chain: times of [0, 1) -> the times at which the model is trained. Two denoisers see
    the same x and the same noise.
    """

    def terms(params, keys, t, batch):
        t = in_chain((batch["part"] + t) / num_parts)
        gamma = schedule.gamma(t)
        x = draw_latents(keys, batch["mean"], batch.get("variance"))
        eps = normal(named_key(keys, "eps"), x.shape)
        found = denoise(params)(noised(x, eps, gamma), t)
        errors = {"x": x - found.x, "eps": eps - found.eps}
        per_component = {name: sum_values(error**2) / (x.size // len(x)) for name, error in errors.items()}
        return per_component | {"time": t, "logsnr": -gamma}

    return terms


def measure_denoising(
    terms: TermsFn,
    params: PyTree,
    latents: dict[str, np.ndarray],
    num_parts: int,
    *,
    key: Key[Array, ""],
    passes: int,
    batch_size: int,
    progress: Callable[[range], Iterable[int]] = iter,
    place: Callable[[PyTree], PyTree] = lambda batch: batch,
) -> DenoisingErrors:
    """The errors of each of N latents in each of M = `num_parts` parts of the time, averaged over `passes`.

    terms: of `denoising_terms`. latents: "mean" [N, ...], and "variance" of noisy codes. Times are uniform in each
    part, and so over all of them.
    """
    number, found = len(latents["mean"]), []
    for part in progress(range(num_parts)):
        data = latents | {"part": np.full(number, part, np.float32)}
        settings = {"passes": passes, "batch_size": batch_size, "place": place}
        found.append(evaluate_bound(terms, params, data, key=named_key(key, f"part {part}"), **settings))
    x, eps = (np.stack([part.per_image[name] for part in found], axis=1) for name in CURRENCIES)
    return DenoisingErrors(x, eps, *(np.array([part.mean[name] for part in found]) for name in ("time", "logsnr")))


def over_linear(errors: DenoisingErrors, linear: DenoisingErrors) -> dict[str, Any]:
    """Losses, and what they are of those of the linear denoiser on the same noise. Errors are over images.

    {"x" | "eps": {"loss", "loss_standard_error", "over_linear", "over_linear_standard_error": of all times,
    "by_time": {the same: […]}}}.
    """
    found: dict[str, Any] = {}
    for name in CURRENCIES:
        own, other = getattr(errors, name), getattr(linear, name)
        whole = _compared(own.mean(axis=1), other.mean(axis=1))
        by_time = _compared(own, other)
        found[name] = {key: float(value) for key, value in whole.items()}
        found[name]["by_time"] = {key: value.tolist() for key, value in by_time.items()}
    return found


def _compared(own: Float[np.ndarray, "n ..."], other: Float[np.ndarray, "n ..."]) -> dict[str, np.ndarray]:
    ratio, error = ratio_of_means(own, other)
    spread = own.std(axis=0, ddof=min(1, len(own) - 1)) / np.sqrt(len(own))
    names = ("loss", "loss_standard_error", "over_linear", "over_linear_standard_error")
    return {
        name: np.asarray(value) for name, value in zip(names, (own.mean(axis=0), spread, ratio, error), strict=True)
    }


def ratio_of_means(
    a: Float[np.ndarray, "n ..."], b: Float[np.ndarray, "n ..."]
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """mean(a)/mean(b) of pairs and its standard error, to first order that of mean(a - ratio b)/mean(b)."""
    ratio = a.mean(axis=0) / b.mean(axis=0)
    spread = (a - ratio * b).std(axis=0, ddof=min(1, len(a) - 1))
    return np.asarray(ratio), np.asarray(spread / np.sqrt(len(a)) / b.mean(axis=0))
