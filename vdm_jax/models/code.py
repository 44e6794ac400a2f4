"""The code w of an autoencoding diffusion model: q(w | x), its prior p(w), and how its rate enters the loss."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.code_prior import DiffusionPrior, NormalPrior
from vdm_jax.diffusion.rate import Code, RateMode
from vdm_jax.diffusion.times import stratified_times
from vdm_jax.networks.network import Network

Codes = Float[Array, "b d"]


@dataclass(frozen=True, eq=False)
class CodeModel:
    """Encoder, rate mode and prior. Its parameters are "encoder" and, for a learned prior, "code_prior"."""

    encoder: Network  # apply(params, x, *, key=None) -> mu, logvar
    w_dim: int
    rate: RateMode
    prior: NormalPrior | DiffusionPrior  # p(w)
    prior_network: Network | None  # of a learned p(w)

    @property
    def networks(self) -> dict[str, Network]:
        """The networks by the names of their parameters."""
        learned = {} if self.prior_network is None else {"code_prior": self.prior_network}
        return {"encoder": self.encoder} | learned

    def encode(
        self, params: PyTree, x: Float[Array, "b ..."], key: Key[Array, ""] | None = None
    ) -> tuple[Codes, Codes]:
        """mu, logvar of q(w | x); a key switches dropout on."""
        return self.encoder.apply(params["encoder"], x, key=key)

    def draw(
        self,
        key: Key[Array, ""],
        params: PyTree,
        x: Float[Array, "b ..."],
        dropout_key: Key[Array, ""] | None = None,
    ) -> Code:
        """q(w | x) of each example, a draw from it and its rate."""
        mu, logvar = self.encode(params, x, dropout_key)
        w = draw_code(named_key(key, "w"), mu, logvar)
        t = stratified_times(named_key(key, "times"), len(x))
        return Code(mu, logvar, w, self.rates(params, named_key(key, "rate"), mu, logvar, w, t))

    def rates(
        self, params: PyTree, key: Key[Array, ""], mu: Codes, logvar: Codes, w: Codes, t: Float[Array, " b"]
    ) -> Float[Array, " b"]:
        """R of each example under p(w), nats; t ~ U(0, 1) where the prior is learned."""
        return self.prior.rate(params.get("code_prior"), key, mu, logvar, w, t)

    def draw_prior(self, params: PyTree, key: Key[Array, "*k"], num_codes: int) -> Codes:
        """w ~ p(w), [N, w_dim]. key: one, or keys [N]: each w is then a function of its own key."""
        return self.prior.sample(params.get("code_prior"), key, (num_codes, self.w_dim))


def draw_code(key: Key[Array, ""], mu: Codes, logvar: Codes) -> Codes:
    """w ~ N(mu, exp(logvar)), reparameterised."""
    return mu + jnp.exp(0.5 * logvar) * jax.random.normal(key, mu.shape)


def flat(latents: Float[Array, "b ..."]) -> Codes:
    """[B, …] -> [B, D]."""
    return latents.reshape(len(latents), -1)
