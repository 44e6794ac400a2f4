"""Information of a code w ~ q(w|x) = N(mu(x), diag sigma²(x)) about x: bounds that need only q itself."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from vdm_jax.base.errors import UserError

ACTIVE_VARIANCE = 0.01
ROWS_AT_ONCE = 512
LN_2PI = float(np.log(2 * np.pi))

Codes = Float[np.ndarray, "n w"]


def mutual_information_bounds(mu: Codes, logvar: Codes, w: Codes) -> dict[str, Any]:
    """A lower and an upper bound on I(x; w) from one sample w_i ~ q(w|x_i) for each of N images; nats.

    With the true density q and j running over the images (Poole et al. 2019):
    lower, InfoNCE: `mean_i [log q(w_i|x_i) - log 1/N Σ_j q(w_i|x_j)]`, never above ln N, whatever the information;
    upper, leave one out: `mean_i [log q(w_i|x_i) - log 1/(N-1) Σ_{j≠i} q(w_i|x_j)]`.
    Both hold in expectation over the N images. The average KL of q(w|x) to any fixed prior is another upper bound, the
    tighter one where the codes of different images hardly overlap.
    -> `mi_lower_nats`, `mi_upper_nats`, each with `…_standard_error`; `ln_n`, `num_images`. O(N² W) work in float64.
    """
    n = len(mu)
    if n < 2:
        raise UserError(f"{n} image(s) for bounds on the mutual information; expected at least 2")
    own, among_all, among_others = _log_mixtures(mu, logvar, w)
    lower = np.minimum(own - (among_all - np.log(n)), np.log(n))  # the sum holds the own term: above is rounding
    upper = own - (among_others - np.log(n - 1))
    return {
        "mi_lower_nats": float(lower.mean()),
        "mi_lower_nats_standard_error": float(lower.std(ddof=1) / np.sqrt(n)),
        "mi_upper_nats": float(upper.mean()),
        "mi_upper_nats_standard_error": float(upper.std(ddof=1) / np.sqrt(n)),
        "ln_n": float(np.log(n)),
        "num_images": n,
    }


def aggregate_prior_rate(
    mu: Codes, logvar: Codes, w: Codes, train_mu: Float[np.ndarray, "m w"], train_logvar: Float[np.ndarray, "m w"]
) -> dict[str, float]:
    """The rate if the prior were the aggregate posterior of M training images, r(w) = 1/M Σ_j q(w|x_j); nats.

    `mean_i [log q(w_i|x_i) - log r(w_i)]`, for one sample w_i ~ q(w|x_i) of each held-out image. r does not
    depend on these images, so that D plus this rate bounds -log p(x) as D plus the KL to N(0, I) does (Tomczak &
    Welling 2018). The KL to N(0, I) minus this rate is a lower estimate of the cost of the misfit of the codes to
    N(0, I).
    -> `aggregate_prior_rate_nats`, with `…_standard_error`.
    """
    mu, logvar, w, train_mu, train_logvar = (
        np.asarray(array, np.float64) for array in (mu, logvar, w, train_mu, train_logvar)
    )
    log_r = np.empty(len(w))
    for rows, log_q in _log_q_by_rows(train_mu, train_logvar, w):
        log_r[rows] = _logsumexp(log_q) - np.log(len(train_mu))
    rate = _log_own(mu, logvar, w) - log_r
    return {
        "aggregate_prior_rate_nats": float(rate.mean()),
        "aggregate_prior_rate_nats_standard_error": float(rate.std(ddof=1) / np.sqrt(len(w))),
    }


def active_units(mu: Codes) -> int:
    """Number of dimensions whose mean varies over images: `Var_x[mu_j(x)] > 0.01` (Burda et al. 2016)."""
    return int((np.asarray(mu, np.float64).var(0) > ACTIVE_VARIANCE).sum())


def _log_mixtures(mu: Codes, logvar: Codes, w: Codes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[N] each: log q(w_i|x_i), log Σ_j q(w_i|x_j), and the same sum over j ≠ i."""
    mu, logvar, w = (np.asarray(array, np.float64) for array in (mu, logvar, w))
    own = _log_own(mu, logvar, w)
    among_all, among_others = np.empty_like(own), np.empty_like(own)
    for rows, log_q in _log_q_by_rows(mu, logvar, w):
        log_q[rows - rows[0], rows] = -np.inf
        among_others[rows] = _logsumexp(log_q)
        among_all[rows] = np.logaddexp(among_others[rows], own[rows])
    return own, among_all, among_others


def _log_own(mu: Codes, logvar: Codes, w: Codes) -> Float[np.ndarray, " n"]:
    """log q(w_i|x_i)."""
    return -0.5 * ((w - mu) ** 2 * np.exp(-logvar) + logvar + LN_2PI).sum(1)


def _log_q_by_rows(
    mu: Float[np.ndarray, "m w"], logvar: Float[np.ndarray, "m w"], w: Codes
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (rows [R], log q(w_i|x_j) [R, M] for i of these rows), over all rows.

    `Σ_k (w_ik - mu_jk)² / var_jk` is expanded, so that all pairs are two matrix products. float64, and codes centred
    on the mean of the means, keep the cancellation small.
    """
    centre = mu.mean(0)
    mu, w = mu - centre, w - centre
    precision = np.exp(-logvar)
    weighted_mean = mu * precision
    constant = -0.5 * (mu * weighted_mean + logvar + LN_2PI).sum(1)
    for start in range(0, len(w), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(w)))
        yield rows, w[rows] @ weighted_mean.T - 0.5 * (w[rows] ** 2 @ precision.T) + constant


def _logsumexp(values: Float[np.ndarray, "r n"]) -> Float[np.ndarray, " r"]:
    """log Σ exp over the second axis, without overflow. Overwrites `values`."""
    largest = values.max(1, keepdims=True)
    values -= largest
    np.exp(values, out=values)
    return np.log(values.sum(1)) + largest[:, 0]
