"""The VAE-VDM as pure functions: an encoder q(w|x), a diffusion decoder that reads w, a schedule, a rate mode."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Integer, Key, PyTree

from vdm_jax.base.images import to_pixels
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.code_prior import DiffusionPrior, NormalPrior
from vdm_jax.diffusion.gaussian import EpsFn
from vdm_jax.diffusion.likelihood import bits_per_dim, integrand_by_logsnr
from vdm_jax.diffusion.objective import Losses, Terms, to_eps, vdm_losses
from vdm_jax.diffusion.rate import Code, RateMode
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.diffusion.times import draw_times, stratified_times, to_steps
from vdm_jax.networks.network import Network

Codes = Float[Array, "b d"]
Levels = Integer[Array, "b h w c"]


@dataclass(frozen=True, eq=False)
class VaeVdm:
    """Plain objects and what follows from them. `params` has a part for each network there is: "unet", "encoder",
    "gamma", "code_prior".

    Without an encoder the code is [B, 0] and its KL is 0: every formula below holds for the unconditional model too.
    """

    unet: Network
    encoder: Network | None
    w_dim: int  # of the code; 0 without an encoder
    code_prior: Network | None  # the network of a learned p(w), or None
    prior: NormalPrior | DiffusionPrior  # p(w)
    gamma: Network | None  # a learned schedule, or None for `fixed_schedule`
    fixed_schedule: Schedule | None
    gamma_range: tuple[float, float]  # what a learned schedule is measured in when the network reads the time
    rate: RateMode
    target: str  # what the network predicts: eps, x, v
    weighting: str  # of the diffusion loss that is minimised
    num_steps: int | None  # T of the bound; None for T = infinity
    minimise_variance: bool  # a learned gamma between pinned ends is trained for a quiet bound
    pixel_values: Float32[np.ndarray, " k"]
    image_shape: tuple[int, int, int]

    @property
    def num_dims(self) -> int:
        """D, the number of values in an image."""
        return int(np.prod(self.image_shape))

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Fresh parameters of every network there is."""
        networks = {"unet": self.unet, "encoder": self.encoder, "gamma": self.gamma, "code_prior": self.code_prior}
        return {name: net.init(named_key(key, name)) for name, net in networks.items() if net is not None}

    def schedule(self, params: PyTree) -> Schedule:
        """gamma(t), of the learned network where there is one."""
        if self.gamma is None:
            return self.fixed_schedule
        return Schedule(lambda t: self.gamma.apply(params["gamma"], t))

    def encode(
        self, params: PyTree, x: Float[Array, "b h w c"], key: Key[Array, ""] | None = None
    ) -> tuple[Codes, Codes]:
        """mu, logvar of q(w | x); a key switches dropout on."""
        if self.encoder is None:
            return jnp.zeros((x.shape[0], 0)), jnp.zeros((x.shape[0], 0))
        return self.encoder.apply(params["encoder"], x, key=key)

    def eps_fn(self, params: PyTree, w: Codes, key: Key[Array, ""] | None = None) -> EpsFn:
        """eps_hat(z_t, t) of the decoder under the code w; a key switches dropout on.

        The network reads t itself, or how far a learned gamma has come between the ends it started from. No gradient
        goes into gamma by way of eps_hat: at the network's optimum it would be zero.
        """
        schedule = self.schedule(params)
        low, high = self.gamma_range

        def eps_hat(z_t, t):
            gamma_t = jax.lax.stop_gradient(schedule.gamma(t))
            time = t if self.gamma is None else (gamma_t - low) / (high - low)
            code = None if self.encoder is None else w
            prediction = self.unet.apply(params["unet"], z_t, time, code, key=key)
            return to_eps(self.target, prediction, z_t, gamma_t)

        return eps_hat

    def rates(
        self, params: PyTree, key: Key[Array, ""], mu: Codes, logvar: Codes, w: Codes, t: Float[Array, " b"]
    ) -> Float[Array, " b"]:
        """R of each image under p(w), nats; t ~ U(0, 1) where the prior is learned."""
        return self.prior.rate(params.get("code_prior"), key, mu, logvar, w, t)

    def draw_prior(self, params: PyTree, key: Key[Array, ""], num_codes: int) -> Codes:
        """w ~ p(w), [N, w_dim]."""
        return self.prior.sample(params.get("code_prior"), key, (num_codes, self.w_dim))

    def losses(
        self,
        key: Key[Array, ""],
        params: PyTree,
        levels: Levels,
        w: Codes,
        t: Float[Array, " b"],
        dropout_key: Key[Array, ""] | None = None,
    ) -> Losses:
        """The decoder's bound under given codes, from one draw of noise."""
        return vdm_losses(
            key,
            to_pixels(levels, self.pixel_values),
            levels,
            jnp.asarray(self.pixel_values),
            self.eps_fn(params, w, dropout_key),
            self.schedule(params),
            t,
            weighting=self.weighting,
            num_steps=self.num_steps,
            minimise_variance=self.minimise_variance,
        )

    def objective(self) -> str:
        """What is minimised, in words; D + R bounds -log p(x) whatever that is."""
        weighted = "" if self.weighting == "bound" else f", {self.weighting} weighting of the diffusion term"
        return ("D, without a code" if self.encoder is None else self.rate.objective) + weighted

    def chain_length(self) -> int | None:
        """T of the bound: the table's own, or what was asked of a continuous schedule; None for infinity."""
        return (self.fixed_schedule.num_steps if self.fixed_schedule else None) or self.num_steps

    def loss_fn(
        self,
        params: PyTree,
        carry: PyTree,
        batch: dict[str, Integer[Array, "_ h w c"]],
        key: Key[Array, ""],
        step: Any,
    ) -> tuple[Float[Array, " b"], dict[str, Array]]:
        """What training minimises, [B] nats: reconstruction + prior + weighted diffusion + the rate mode's penalty.

        batch: "levels", and "held_out" where the rate mode is steered by the KL of validation images.
        """
        levels = batch["levels"]
        code = self.code(named_key(key, "code"), params, levels, named_key(key, "encoder_dropout"))
        w = self.rate.shown(named_key(key, "shown"), code.w)
        t = draw_times(named_key(key, "times"), len(levels), self.chain_length())
        losses = self.losses(named_key(key, "bound"), params, levels, w, t, named_key(key, "unet_dropout"))
        trained = self.rate.emphasis(jax.lax.stop_gradient(losses.gamma_t)) * losses.trained
        terms = losses.terms._replace(encoder_kl=code.rate)
        loss = terms.reconstruction + terms.prior + trained + self.rate.penalty(code, carry, step)
        metrics = metrics_of(terms, self.num_dims) | {"beta": self.rate.multiplier(carry, step)}
        if "held_out" in batch:
            held_out = self.code(named_key(key, "held_out"), params, batch["held_out"])
            metrics["held_out_rate"] = jax.lax.stop_gradient(held_out.rate)
        return loss, metrics

    def code(
        self, key: Key[Array, ""], params: PyTree, levels: Levels, dropout_key: Key[Array, ""] | None = None
    ) -> Code:
        """q(w | x) of each image, a draw from it and its rate."""
        mu, logvar = self.encode(params, to_pixels(levels, self.pixel_values), dropout_key)
        w = draw_code(named_key(key, "w"), mu, logvar)
        t = stratified_times(named_key(key, "times"), len(levels))
        return Code(mu, logvar, w, self.rates(params, named_key(key, "rate"), mu, logvar, w, t))

    def update_carry(self, carry: PyTree, means: dict[str, Array], step: Any) -> PyTree:
        """The rate mode's memory after a step; the rate is that of held-out images where the batch has some."""
        return self.rate.update(carry, means.get("held_out_rate", means["rate"]), step)

    def bound_terms(
        self, params: PyTree, keys: Key[Array, " b"], t: Float[Array, " b"], batch: dict[str, Array]
    ) -> dict[str, Array]:
        """`metrics_of` each image from its own key, for `evals.bpd`. batch: "levels", "mu", "logvar"."""

        def one(key, t, levels, mu, logvar):
            w = draw_code(named_key(key, "code"), mu, logvar)
            terms = self.losses(key, params, levels, w, self.in_chain(t)).terms
            rate = self.rates(params, named_key(key, "rate"), mu, logvar, w, t)
            return metrics_of(terms._replace(encoder_kl=rate), self.num_dims)

        return image_by_image(one, keys, t, batch["levels"], batch["mu"], batch["logvar"])

    def foreign_terms(
        self, params: PyTree, keys: Key[Array, " b"], t: Float[Array, " b"], batch: dict[str, Array]
    ) -> dict[str, Array]:
        """The diffusion term, nats, with w of another image ("other_mu", "other_logvar") and one from the prior
        ("prior_w").

        The same keys draw the same noise as in `bound_terms`.
        """

        def one(key, t, levels, mu, logvar, from_prior):
            shuffled = draw_code(named_key(key, "other_code"), mu, logvar)
            codes = {"diffusion_shuffled": shuffled, "diffusion_from_prior": from_prior}
            return {name: self.losses(key, params, levels, w, t).terms.diffusion for name, w in codes.items()}

        names = ("levels", "other_mu", "other_logvar", "prior_w")
        return image_by_image(one, keys, self.in_chain(t), *(batch[name] for name in names))

    def curve_terms(
        self, params: PyTree, keys: Key[Array, " b"], _: Float[Array, " b"], batch: dict[str, Array]
    ) -> dict[str, Array]:
        """½||eps - eps_hat||² at the noise levels batch["gammas"], [B, M]: own code, another's, from the prior.

        With an encoder also what the other codes cost, `…_cost`: the difference under the same noise.
        """

        def one(key, levels, mu, logvar, other_mu, other_logvar, from_prior, gammas):
            codes = {"own": draw_code(named_key(key, "code"), mu, logvar)}
            if self.encoder is not None:
                codes["shuffled"] = draw_code(named_key(key, "other_code"), other_mu, other_logvar)
                codes["from_prior"] = from_prior
            x, schedule = to_pixels(levels, self.pixel_values), self.schedule(params)
            curves = {}
            for name, w in codes.items():
                logsnr, values = integrand_by_logsnr(key, x, self.eps_fn(params, w), schedule, gammas.reshape(-1))
                curves[name] = values.reshape(1, -1)
            costs = {f"{name}_cost": curves[name] - curves["own"] for name in curves if name != "own"}
            return curves | costs | {"logsnr": logsnr.reshape(1, -1)}

        names = ("levels", "mu", "logvar", "other_mu", "other_logvar", "prior_w", "gammas")
        return image_by_image(one, keys, *(batch[name] for name in names))

    def in_chain(self, t: Float[Array, " b"]) -> Float[Array, " b"]:
        """Times of [0, 1) as the bound takes them: the step i = 1 + floor(t T) of a chain."""
        num_steps = self.chain_length()
        return t if num_steps is None else to_steps(t, num_steps)


def draw_code(key: Key[Array, ""], mu: Codes, logvar: Codes) -> Codes:
    """w ~ N(mu, exp(logvar)), reparameterised."""
    return mu + jnp.exp(0.5 * logvar) * jax.random.normal(key, mu.shape)


def metrics_of(terms: Terms, num_dims: int) -> dict[str, Float[Array, " b"]]:
    """The terms by name, distortion D, rate R and bound D + R in nats, and the bound as `bpd`."""
    distortion = terms.reconstruction + terms.prior + terms.diffusion
    bound = distortion + terms.encoder_kl
    return {
        "distortion": distortion,
        "rate": terms.encoder_kl,
        "bound": bound,
        "bpd": bits_per_dim(bound, num_dims),
        "reconstruction": terms.reconstruction,
        "prior": terms.prior,
        "diffusion": terms.diffusion,
    }


def image_by_image(one: Callable[..., dict[str, Array]], keys: Key[Array, " b"], *arrays: Array) -> dict[str, Array]:
    """`one(key, *slices [1, ...]) -> {name: [1, ...]}` over the images, each with its own key."""

    def single(key, *values):
        return jax.tree.map(lambda leaf: leaf[0], one(key, *(value[None] for value in values)))

    return jax.vmap(single)(keys, *arrays)
