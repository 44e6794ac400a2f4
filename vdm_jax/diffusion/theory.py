"""Closed forms to compare curves with: two Gaussians, speciation, and the time of a given abar."""

import math
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.rows import RowSource, blocks, covariance_of_rows, moments_of_rows
from vdm_jax.diffusion.schedules import Schedule, times_of_gamma

QUADRATURE_POINTS = 4001
QUADRATURE_REACH = 9.0  # deviations

# Two equal deltas ±1: abar above which …
TWO_DELTAS_SDE = float(np.sqrt(2) - 1)  # the drift of the reverse SDE pushes away from 0 (Raya & Ambrogioni 2023)
TWO_DELTAS_DENSITY = 0.5  # the density of z_t has two peaks


class TwoGaussians(NamedTuple):
    """Prediction of the component c = ±1 of x ~ ½ N(m, s²) + ½ N(-m, s²) from z_t."""

    accuracy: float  # of the optimal classifier
    retention: float  # chance that noising and sampling back keeps c
    information: float  # I(c; z_t), nats
    mmse: float  # of c


def two_gaussians(r: float) -> TwoGaussians:
    """`r` = alpha² m²/(alpha² s² + sigma²): z_t/its deviation is N(±√r, 1).

    A = Φ(√r); with p the probability of the true component, R = E[p² + (1 - p)²] = 1 - mmse/2, and dI/dr = mmse/2. By a
    trapezoid in float64, to 1e-9.
    """
    if not 0 <= r < np.inf:
        raise UserError(f"r={r}; expected a number not below 0")
    u = np.linspace(np.sqrt(r) - QUADRATURE_REACH, np.sqrt(r) + QUADRATURE_REACH, QUADRATURE_POINTS)
    density = np.exp(-0.5 * (u - np.sqrt(r)) ** 2) / np.sqrt(2 * np.pi)
    log_p = -np.logaddexp(0, -2 * np.sqrt(r) * u)  # of the true component, +
    p, q = np.exp(log_p), -np.expm1(log_p)
    retention = np.trapezoid((p**2 + q**2) * density, u)
    information = np.log(2) + np.trapezoid(log_p * density, u)
    accuracy = 0.5 * (1 + math.erf(math.sqrt(r / 2)))
    return TwoGaussians(accuracy, float(retention), float(information), float(2 * (1 - retention)))


def abar(schedule: Schedule, t: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """alpha_t² = sigmoid(-gamma_t)."""
    return jax.nn.sigmoid(-schedule.gamma(t))


def time_of_abar(schedule: Schedule, level: float) -> float:
    """The time at which alpha_t² has fallen to `level`; for a table that of the nearest entry."""
    if not 0 < level < 1:
        raise UserError(f"abar={level}; expected a number between 0 and 1")
    return float(times_of_gamma(schedule, jnp.array([np.log((1 - level) / level)], jnp.float32))[0])


@runtime_checkable
class Covariance(Protocol):
    """A symmetric matrix, [d, d], or an operator that multiplies a vector as one does."""

    shape: tuple[int, ...]

    def __matmul__(self, v: Any) -> Any: ...


def covariance_of(x: RowSource, variance: RowSource | None = None) -> Covariance:
    """The covariance of n points: a matrix, read in blocks; of fewer points than dimensions an operator of 8 d n bytes.

    variance: of independent noise on each point, whose mean is added.
    """
    from scipy.sparse.linalg import LinearOperator

    number, d = len(x), math.prod(x.shape[1:])
    if d <= number:
        return covariance_of_rows(x, variance)[1]
    centre, _ = moments_of_rows(x)
    centred = np.concatenate([rows - centre for (rows,) in blocks(x)])
    noise = 0.0 if variance is None else moments_of_rows(variance)[0]

    def matvec(v):
        v = v.reshape(-1)
        return centred.T @ (centred @ v) / number + noise * v

    return LinearOperator((d, d), matvec=matvec, dtype=np.float64)


def speciation_abar(covariance: Covariance) -> float:
    """1/Λ, Λ the leading eigenvalue of the data's `covariance`: classes separate where abar is above it.

    Where abar Λ > 1 the signal in the leading direction exceeds the unit variance of the noise (Biroli et al. 2024, in
    the limit of many dimensions). Raises `UserError` where the data have no variance.
    """
    from scipy.sparse.linalg import eigsh

    start = np.random.default_rng(0).normal(size=covariance.shape[0])
    if not np.any(covariance @ start):
        raise UserError("all data points are equal: there is nothing to separate")
    if covariance.shape[0] == 1:  # for which there is no Lanczos iteration
        return 1 / float((covariance @ np.ones(1))[0])
    return 1 / float(eigsh(covariance, k=1, which="LA", v0=start, return_eigenvectors=False)[0])


def between_classes(means: Float[np.ndarray, "c d"], shares: Float[np.ndarray, " c"]) -> float:
    """The leading eigenvalue Λ of the covariance of E[x | class], from the means and the shares of the classes.

    Two classes at ±m with equal shares have Λ = |m|². Where abar Λ = 1 - abar, the signal of the classes in its leading
    direction is as strong as the noise.
    """
    shares = shares / shares.sum()
    centred = np.sqrt(shares)[:, None] * (means - shares @ means)
    return float(np.linalg.eigvalsh(centred @ centred.T)[-1])
