"""The exact curves of a latent space in NumPy: the arithmetic of `diffusion/mixture_posterior.py` and `rows.py`.

In float32, with matrix products alone: at timestep 0, where ours sums squares of differences, the products are faster
and not exact. `classes` is in float64 and by definition.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float


def measure_curve(case: Any, gammas: Float[np.ndarray, " m"], queries: int, batch: int) -> np.ndarray:
    """Mean accuracy, retention, entropy and mmse of each feature at each noise level, [M, F, 4].

    case: `latent_posterior.Case`. batch: queries at a time, half of them with the mirror image of the others' noise.
    """
    random = np.random.default_rng(0)
    num, size = case.mean.shape
    pairs = []
    for _ in range(max(2, -(-queries // batch))):
        index, eps = random.integers(0, num, batch // 2), random.standard_normal((batch // 2, size), np.float32)
        u = case.mean[index]
        if case.variance is not None:
            u = u + np.sqrt(case.variance[index]) * random.standard_normal(u.shape, np.float32)
        pairs.append((u, eps))
    one_hot = np.concatenate(
        [np.eye(label.max() + 1, dtype=np.float32)[label] for label in case.labels.values()], axis=1
    )
    levels = correlated_levels if case.variance is None else mixture_levels
    found = np.zeros((len(gammas), len(case.features), 4))
    for level, logits in levels(case, pairs, gammas):
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits, out=logits)
        p = p @ one_hot / p.sum(axis=1, keepdims=True)
        ends = np.cumsum([len(feature.prior) for feature in case.features.values()])
        parts = np.split(p, ends[:-1], axis=1)
        found[level] += [score(f, part) for f, part in zip(case.features.values(), parts, strict=True)]
    return found / len(pairs)


def mixture_levels(case: Any, pairs: list, gammas: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The level and log p(z_t | i) of each batch, [2 Q, N]; the weights of a level are computed once."""
    for level, gamma in enumerate(gammas):
        a = np.float32(np.exp(-gamma / 2))
        h = 1 / (1 + a**2 * case.variance)
        mean = a * case.mean
        weights = np.concatenate([h, h * mean], axis=1).T
        constant = 0.5 * (np.log(h).sum(axis=1) - (h * mean**2).sum(axis=1))
        for u, eps in pairs:
            y = a * u
            even = np.concatenate([-0.5 * (y**2 + eps**2), y], axis=1) @ weights + constant
            odd = np.concatenate([-y * eps, eps], axis=1) @ weights
            yield level, np.concatenate([even + odd, even - odd])


def correlated_levels(case: Any, pairs: list, gammas: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The same of codes without variance: two products of a batch serve all levels."""
    half = 0.5 * (case.mean**2).sum(axis=1)
    for u, eps in pairs:
        signal, noise = u @ case.mean.T - half, eps @ case.mean.T
        for level, gamma in enumerate(gammas):
            snr = np.float32(np.exp(-gamma))
            yield level, np.concatenate([snr * signal + sign * np.sqrt(snr) * noise for sign in (1, -1)])


def score(feature: Any, p: np.ndarray) -> np.ndarray:
    """The means of `diffusion.posterior.Scores`."""
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=1)
    mmse = 0.0
    if feature.values is not None:
        mmse = (p @ (feature.values**2).sum(axis=1) - ((p @ feature.values) ** 2).sum(axis=1)).mean()
    return np.array([p.max(axis=1).mean(), (p**2).sum(axis=1).mean(), entropy.mean(), mmse])


def classes(case: Any, u: np.ndarray, eps: np.ndarray, gamma: float) -> dict[str, np.ndarray]:
    """p(c | z_t) of each feature in float64, with eps and then with -eps, from the squares of differences."""
    alpha, sigma = np.sqrt(1 / (1 + np.exp(gamma))), np.sqrt(1 / (1 + np.exp(-gamma)))
    noise = 0.0 if case.variance is None else np.float64(case.variance)
    v = np.broadcast_to(alpha**2 * noise + sigma**2, case.mean.shape)
    constant, mean = -0.5 * np.log(v).sum(axis=1), alpha * np.float64(case.mean)
    found = []
    for sign in (1, -1):
        for z in alpha * np.float64(u) + sign * sigma * np.float64(eps):
            log_p = constant - 0.5 * ((z - mean) ** 2 / v).sum(axis=1)
            p = np.exp(log_p - log_p.max())
            found.append({name: np.bincount(label, weights=p / p.sum()) for name, label in case.labels.items()})
    return {name: np.stack([one[name] for one in found]) for name in case.labels}
