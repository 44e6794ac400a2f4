"""The code w of an autoencoding diffusion model: q(w | x), its prior p(w), and how its rate enters the loss."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.code_prior import DiffusionPrior, NormalPrior
from vdm_jax.diffusion.rate import Code, RateMode
from vdm_jax.diffusion.times import stratified_times
from vdm_jax.networks.network import Network

Codes = Float[Array, "b d"]


class TimedCode(NamedTuple):
    """The codes of E(x, t) at all times, of images x [B, ...]: w_t ~ q(w | x, t) from the same noise [B, w_dim] at
    every t, and what the network reads beside them [B, K]."""

    x: Float[Array, "b ..."]
    noise: Codes
    beside: Codes | None = None


@dataclass(frozen=True, eq=False)
class CodeModel:
    """Encoder, rate mode and prior. Its parameters are "encoder" and, for a learned prior, "code_prior".

    Without an encoder the code is a control: q(w | x) = p(w) = N(0, I) for every x, so that I(x; w) and R are exactly
    0. D(x) = E_w D(x, w) is a bound on -log p(x) with p(x) = E_w p(x | w): D(x, w) is VDM's bound under w, and the
    logarithm is concave. Because E_w ||eps - eps_hat||² = ||eps - E_w eps_hat||² + Var_w eps_hat, D exceeds the bound
    of the averaged decoder E_w eps_hat, which has no code, by ½ ∫ gamma'(t) E[Var_w eps_hat] dt, summed over
    dimensions. The best decoder ignores w and reaches the bound of the best one without a code. What a trained control
    costs beside the network with w = 0 (`model.equal_capacity`) is the price of a useless input. What a code costs
    beside the control is its rate less what it saves.

    deterministic: w = mu; log variances are -∞, and so is the rate +∞: there is none. of_time: E(x, t), a code for each
    time.
    """

    # apply(params, x, *, key=None) -> mu, logvar; of_time: apply(params, x, t, *, key=None); None: a control
    encoder: Network | None
    w_dim: int
    rate: RateMode
    prior: NormalPrior | DiffusionPrior  # p(w)
    prior_network: Network | None  # of a learned p(w)
    deterministic: bool = False
    of_time: bool = False

    @property
    def networks(self) -> dict[str, Network]:
        """The networks by the names of their parameters."""
        networks = {"encoder": self.encoder, "code_prior": self.prior_network}
        return {name: network for name, network in networks.items() if network is not None}

    @property
    def objective(self) -> str:
        """What is minimised, in words."""
        return "D, under a code that is independent of x" if self.encoder is None else self.rate.objective

    @property
    def has_prior(self) -> bool:
        """Whether w may be drawn from p(w): a noisy code that is the same at all times."""
        return self.no_bound is None

    @property
    def no_bound(self) -> str | None:
        """Why D + R is no bound on -log p(x); None where it is."""
        if self.deterministic:
            return "the code is deterministic, so its rate is infinite"
        return "there is a code for each time, and the rate is that of one of them" if self.of_time else None

    def encode(
        self,
        params: PyTree,
        x: Float[Array, "b ..."],
        key: Key[Array, ""] | None = None,
        t: Float[Array, " b"] | None = None,
    ) -> tuple[Codes, Codes]:
        """mu, logvar of q(w | x), or of q(w | x, t); a key switches dropout on. Raises `UserError` for a time that is
        missing, or one that the encoder does not read."""
        if self.of_time != (t is not None):
            raise UserError("E(x, t) needs a time t" if self.of_time else "the encoder E(x) reads no time t")
        if self.encoder is None:
            zeros = jnp.zeros((len(x), self.w_dim))
            return zeros, zeros
        mu, logvar = self.encoder.apply(params["encoder"], x, *([t] if self.of_time else []), key=key)
        return mu, jnp.full_like(logvar, -jnp.inf) if self.deterministic else logvar

    def draw(
        self,
        key: Key[Array, ""],
        params: PyTree,
        x: Float[Array, "b ..."],
        dropout_key: Key[Array, ""] | None = None,
        at: Float[Array, " b"] | None = None,
    ) -> Code:
        """q(w | x) of each example, a draw from it and its rate. at: the times of E(x, t)."""
        mu, logvar = self.encode(params, x, dropout_key, at)
        w = draw_code(named_key(key, "w"), mu, logvar)
        t = stratified_times(named_key(key, "times"), len(x))
        return Code(mu, logvar, w, self.rates(params, named_key(key, "rate"), mu, logvar, w, t))

    def at(self, params: PyTree, codes: Codes | TimedCode, t: Float[Array, " b"]) -> Codes:
        """What the network reads at the times t: codes themselves, or w_t of E(x, t) with what is beside them."""
        if not isinstance(codes, TimedCode):
            return codes
        mu, logvar = self.encode(params, codes.x, t=t)
        w = mu + jnp.exp(0.5 * logvar) * codes.noise
        return w if codes.beside is None else jnp.concatenate([w, codes.beside], axis=1)

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
