"""DIP-VAE (Kumar et al. 2018): the covariance of the codes of a batch is drawn towards the identity."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

Codes = Float[Array, "b d"]
DIP = {"dip1": 10.0, "dip2": 1.0}  # lambda_d over lambda_od where lambda_d is not given


class DipWeights(NamedTuple):
    """The weights of the squared off-diagonal entries, and of the squared deviations of the diagonal from 1."""

    lambda_od: Float[Array, ""]
    lambda_d: Float[Array, ""]


def code_covariance(name: str, mu: Codes, logvar: Codes) -> Float[Array, "d d"]:
    """Of "dip1" Cov[mu], of "dip2" Cov[mu] + E[diag(sigma²)], over the batch (divided by B)."""
    centred = mu - mu.mean(axis=0, keepdims=True)
    covariance = centred.T @ centred / len(mu)
    return covariance if name == "dip1" else covariance + jnp.diag(jnp.exp(logvar).mean(axis=0))


def dip_penalty(covariance: Float[Array, "d d"], weights: DipWeights) -> Float[Array, ""]:
    """lambda_od Σ_{i≠j} C_ij² + lambda_d Σ_i (C_ii - 1)²."""
    diagonal = jnp.diagonal(covariance)
    off = jnp.sum(covariance**2) - jnp.sum(diagonal**2)
    return weights.lambda_od * off + weights.lambda_d * jnp.sum((diagonal - 1) ** 2)
