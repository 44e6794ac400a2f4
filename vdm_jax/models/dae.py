"""Denoising autoencoders DAE(x), of x = x_i + sigma eps: optimal, linear and trained.

The optimal one is E[x_i | x] = Σ_i P(x_i | x) x_i, a softmax over the data, and DAE(x) - x = sigma² ∇ log p_sigma(x).
The predicted noise is x - DAE(x). Every function here takes x [B, *shape] in the model's pixels and one sigma [] of the
same unit. Source: V. Tresp, "Towards Diffusion Models", 2023-2024.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import alpha_sigma, expand, sum_values
from vdm_jax.diffusion.rows import CHUNK, in_chunks, product, weighted_mean
from vdm_jax.diffusion.times import stratified_times
from vdm_jax.networks.network import Network

X = Float[Array | np.ndarray, "b ..."]
Sigma = Float[Array | np.ndarray | np.float32, ""]
Dae = Callable[[X, Sigma], X]
"""`dae(x [B, *shape], sigma []) -> x_hat [B, *shape]`"""

FLAT = 1e-6  # eigenvalues of a covariance below this share of the largest are rounding


# ---- optimal --------------------------------------------------------------------------------------------------------


def optimal_dae(data: Float[Array | np.ndarray, "n ..."], chunk: int = CHUNK) -> Dae:
    """The DAE with the least error on the images `data`: E[x_i | x], each x_i as likely.

    It is the exact posterior mean of the noising process at log SNR = -2 log sigma, for z = alpha x.
    """
    return Partial(_posterior_mean, in_chunks(jnp.asarray(data, jnp.float32).reshape(len(data), -1), chunk))


def _posterior_mean(rows, x: X, sigma: Sigma) -> X:
    gamma = 2 * jnp.log(sigma)
    alpha, _ = alpha_sigma(gamma)
    return weighted_mean(rows, alpha * x.reshape(len(x), -1), gamma, rows.x).reshape(x.shape)


def optimal_spectrum(
    data: Float[np.ndarray, "n d"], x: Float[np.ndarray, " d"], sigma: float
) -> Float[np.ndarray, " d"]:
    """The eigenvalues of the Jacobian of the optimal DAE at x, [D], descending: those of Cov[x_i | x]/sigma².

    The Jacobian is symmetric and has no negative eigenvalue. On the host, in float64.
    """
    data, x = data.astype(np.float64), x.astype(np.float64)
    logits = -((data - x[None]) ** 2).sum(1) / (2 * sigma**2)
    weights = np.exp(logits - logits.max())
    weights /= weights.sum()
    kept = weights > np.finfo(np.float64).eps * weights.max()
    rows = np.sqrt(weights[kept])[:, None] * (data[kept] - (weights @ data)[None])
    gram = rows.T @ rows if len(rows) > len(x) else rows @ rows.T
    found = np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0) / sigma**2
    return np.pad(found, (0, len(x) - len(found)))


# ---- linear ---------------------------------------------------------------------------------------------------------


class LinearFit(NamedTuple):
    """The mean of images and their principal components: the covariance is V diag(variances) Vᵀ."""

    mean: Float[Array, " d"]
    basis: Float[Array, "d k"]  # V, orthonormal columns
    variances: Float[Array, " k"]  # lambda, descending, all above 0


def fit_linear(data: Float[np.ndarray, "n ..."], rank: int | None = None) -> LinearFit:
    """Mean and principal components of images; of the first `rank` alone, or of all whose variance is not 0."""
    rows = np.asarray(data, np.float64).reshape(len(data), -1)
    mean = rows.mean(0)
    _, deviations, basis = np.linalg.svd(rows - mean[None], full_matrices=False)
    variances = deviations**2 / len(rows)
    rank = min(rank or len(variances), int((variances > FLAT * variances[0]).sum()))
    parts = (mean, basis[:rank].T, variances[:rank])
    return LinearFit(*(jnp.asarray(part, jnp.float32) for part in parts))


def linear_dae(fit: LinearFit) -> Dae:
    """The best linear DAE, m + V diag(lambda/(lambda + sigma²)) Vᵀ (x - m).

    At sigma = 0 it is the projection on the components of `fit`, the V Vᵀ x of "SVD diffusion".
    """
    return Partial(_shrunk, fit)


def _shrunk(fit: LinearFit, x: X, sigma: Sigma) -> X:
    along = product(x.reshape(len(x), -1) - fit.mean[None], fit.basis)
    kept = along * linear_spectrum(fit, sigma)[None]
    return (product(kept, fit.basis.T) + fit.mean[None]).reshape(x.shape)


def linear_spectrum(fit: LinearFit, sigma: Sigma | float) -> Float[Array, " k"]:
    """lambda/(lambda + sigma²), the eigenvalues of the Jacobian of `linear_dae`, which is the same everywhere."""
    return fit.variances / (fit.variances + sigma**2)


# ---- trained --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DenoisingAutoencoder:
    """A DAE for every sigma of a range, with one network.

    x_hat = m + c_skip (x - m) + c_out F((x - m)/√(s² + sigma²), sigma), with c_skip = s²/(s² + sigma²) and
    c_out = sigma s/√(s² + sigma²), for images of mean m and mean variance s² (Karras et al. 2022, table 1). Where F = 0
    it is the best DAE of N(m, s² I). The loss is ||x_i - x_hat||²/(D c_out²), which is 1 for that DAE and such data.

    network: F, `apply(params, x [B, *network_shape], t [B] in [0, 1], key=)`; t is the place of log sigma in the range.
    to_x: levels to pixels. sigma_range: (smallest, largest) sigma that is trained; sigma is log-uniform, and constant
    where both are equal.
    """

    network: Network
    network_shape: tuple[int, ...]
    mean: Float[np.ndarray, "..."]
    deviation: float
    sigma_range: tuple[float, float]
    to_x: Callable[[Any], X]

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Fresh parameters: "network"."""
        return {"network": self.network.init(named_key(key, "network"))}

    def denoise(
        self,
        params: PyTree,
        x: X,
        sigma: Float[Array | np.ndarray | np.float32, "*b"],
        key: Key[Array, ""] | None = None,
    ) -> X:
        """x_hat [B, *shape]. sigma: [] or [B]. A key switches dropout on."""
        x, sigma = jnp.asarray(x), jnp.broadcast_to(sigma, (len(x),))
        total = jnp.sqrt(self.deviation**2 + sigma**2)
        centred = x - jnp.asarray(self.mean)[None]
        inputs = (centred / expand(total, x)).reshape(-1, *self.network_shape)
        output = self.network.apply(params["network"], inputs, self._time(sigma), key=key).reshape(x.shape)
        kept = expand(self.deviation**2 / total**2, x) * centred
        return jnp.asarray(self.mean)[None] + kept + expand(self._unit(sigma), x) * output

    def errors(
        self, params: PyTree, levels: Any, key: Key[Array, ""], dropout_key: Key[Array, ""] | None = None
    ) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
        """(||x_i - x_hat||²/(D c_out²), ||x_i - x_hat||²/D), [B] each, at one sigma for each image."""
        x = self.to_x(levels)
        low, high = self.sigma_range
        sigma = low * (high / low) ** stratified_times(named_key(key, "sigma"), len(x))
        noisy = x + expand(sigma, x) * jax.random.normal(named_key(key, "eps"), x.shape)
        error = sum_values((x - self.denoise(params, noisy, sigma, dropout_key)) ** 2) / self.mean.size
        return error / self._unit(sigma) ** 2, error

    def loss_fn(
        self, params: PyTree, carry: PyTree, batch: dict[str, Array], key: Key[Array, ""], step: Any
    ) -> tuple[Float[Array, " b"], dict[str, Array]]:
        """What training minimises, [B], and its metric "mse", the squared error a pixel. batch: "levels"."""
        loss, mse = self.errors(params, batch["levels"], key, named_key(key, "dropout"))
        return loss, {"mse": mse}

    def describe_objective(self) -> str:
        """What is minimised, in words."""
        return "||x_i - DAE(x_i + sigma eps)||²/D over that of N(m, s² I)"

    def _unit(self, sigma: Float[Array, " b"]) -> Float[Array, " b"]:
        return sigma * self.deviation / jnp.sqrt(self.deviation**2 + sigma**2)

    def _time(self, sigma: Float[Array, " b"]) -> Float[Array, " b"]:
        low, high = np.log(self.sigma_range)
        return jnp.zeros_like(sigma) if low == high else jnp.clip((jnp.log(sigma) - low) / (high - low), 0.0, 1.0)


def jacobian(dae: Dae, x: Float[Array, "..."], sigma: Sigma, chunk: int = 128) -> Float[np.ndarray, "d d"]:
    """dDAE_i/dx_j at one image x [*shape], by forward differentiation in `chunk` directions at a time. -> [D, D]."""
    directions, columns = np.eye(x.size, dtype=np.float32), []
    for start in range(0, x.size, chunk):
        part = np.zeros((chunk, x.size), np.float32)  # filled up, for one program
        part[: len(directions[start : start + chunk])] = directions[start : start + chunk]
        columns.append(np.asarray(_along(dae, x, sigma, part.reshape(chunk, *x.shape))))
    return np.concatenate(columns)[: x.size].reshape(x.size, -1).T


@jax.jit
def _along(dae: Dae, x: Float[Array, "..."], sigma: Sigma, directions: Float[Array, "k ..."]) -> Float[Array, "k ..."]:
    def of_one(x):
        return dae(x[None], sigma)[0]

    return jax.vmap(lambda direction: jax.jvp(of_one, (x,), (direction,))[1])(directions)


@jax.jit
def apply_dae(dae: Dae, x: X, sigma: Sigma | float) -> X:
    """dae(x, sigma) as one compiled program. dae: a pytree such as `jax.tree_util.Partial`."""
    return dae(x, jnp.float32(sigma))
