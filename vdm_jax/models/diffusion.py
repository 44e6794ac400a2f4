"""One diffusion model as pure functions. VAE-VDM, DDPM and latent diffusion are settings of it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.likelihood import Likelihood
from vdm_jax.diffusion.objective import Losses, denoising_losses, vdm_losses
from vdm_jax.diffusion.prediction import Denoise, to_prediction
from vdm_jax.diffusion.rate import UNCONDITIONAL, Code
from vdm_jax.diffusion.schedules import Schedule, first_alike, noisy_entries
from vdm_jax.diffusion.times import stratified_times, to_entries, to_steps
from vdm_jax.models.code import CodeModel, draw_code
from vdm_jax.models.terms import metrics_of, one_by_one
from vdm_jax.networks.network import Network

Codes = Float[Array, "b d"]
OF_THE_BOUND = ("bound", "bpd", "reconstruction", "prior", "diffusion")  # what is evaluated beside DDPM's loss
LOSSES = {
    "bound": "D + R in nats",
    "mean_square": "||eps - eps_hat||²/D, without a code",
}


@dataclass(frozen=True, eq=False)
class LearnedNoise:
    """gamma(t) by a network with the parameters "gamma"; the denoiser's time is (gamma_t - low)/(high - low)."""

    network: Network  # apply(params, t) -> gamma
    gamma_range: tuple[float, float]


@dataclass(frozen=True)
class DiffusionObjective:
    """What is minimised.

    loss: one of the model's `known_losses`. weighting: of the diffusion term. num_steps: T of the bound of a continuous
    schedule; None for T = ∞. minimise_variance: a learned gamma with fixed ends gets a small variance of the bound.
    """

    loss: str = "bound"
    weighting: str = "bound"
    num_steps: int | None = None
    minimise_variance: bool = False


@dataclass(frozen=True, eq=False)
class DiffusionModel:
    """Plain objects and what follows from them; a static argument of what is compiled.

    network: the denoiser, apply(params, z_t, time, w or None, *, key=None); its parameters are "unet".
    prediction: what it predicts, one of `prediction.TARGETS`.
    code: None for an unconditional model.
    shape: of one x.
    likelihood: p(data | z_0); None where no bound is wanted.
    x_range: smallest and largest x, to which samplers clip x_hat; None for no clipping.
    """

    known_losses: ClassVar[dict[str, str]] = LOSSES
    num_labels = 0  # classes that the network reads beside the code; no field here
    network: Network
    noise: Schedule | LearnedNoise
    prediction: str
    objective: DiffusionObjective
    code: CodeModel | None
    shape: tuple[int, ...]
    likelihood: Likelihood | None
    x_range: tuple[float, float] | None

    def __post_init__(self) -> None:
        choose("loss", self.objective.loss, self.known_losses)
        if self.objective.loss == "mean_square" and self.code is not None:
            raise UserError("loss='mean_square' has no rate; a model with a code needs loss='bound'")
        if self.objective.loss == "bound" and self.no_bound:
            raise UserError(f"loss='bound': {self.no_bound}")

    # ---- parts ------------------------------------------------------------------------------------------------------

    @property
    def num_dims(self) -> int:
        """D, the number of values in one x."""
        return int(np.prod(self.shape))

    @property
    def fixed_schedule(self) -> Schedule | None:
        """The schedule; None for a learned one."""
        return self.noise if isinstance(self.noise, Schedule) else None

    @property
    def no_bound(self) -> str | None:
        """Why no bound on -log p(x) is defined; None where one is."""
        if self.likelihood is None:
            return "no likelihood p(data | z_0) is given"
        return self.fixed_schedule.no_bound if self.fixed_schedule else None

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Fresh parameters of every network, by part: "unet", "encoder", "gamma", "code_prior"."""
        networks = {"unet": self.network} | (self.code.networks if self.code else {})
        if isinstance(self.noise, LearnedNoise):
            networks["gamma"] = self.noise.network
        return {name: network.init(named_key(key, name)) for name, network in networks.items()}

    def schedule(self, params: PyTree) -> Schedule:
        """gamma(t), of the learned network where there is one."""
        return self.fixed_schedule or Schedule(lambda t: self.noise.network.apply(params["gamma"], t))

    @property
    def has_moments(self) -> bool:
        """Whether mu and logvar of an image are one code for all times."""
        return self.code is not None and not self.code.of_time

    def encode(
        self,
        params: PyTree,
        x: Float[Array, "b ..."],
        key: Key[Array, ""] | None = None,
        t: Float[Array, " b"] | None = None,
    ) -> tuple[Codes, Codes]:
        """mu, logvar of q(w | x), [B, w_dim] each; a key switches dropout on. t: of E(x, t). Or a `UserError`."""
        if self.code is None:
            raise UserError(UNCONDITIONAL)
        return self.code.encode(params, x, key, t)

    def denoise(self, params: PyTree, w: Codes | None = None, key: Key[Array, ""] | None = None) -> Denoise:
        """The prediction at (z_t, t) under the code w [B, w_dim]; a key switches dropout on.

        A model with a code takes w = 0 for None. Raises `UserError` for a w where there is no code.
        No gradient reaches gamma through the prediction: at the network's optimum it would be zero.
        """
        if w is not None and self.code is None:
            raise UserError(UNCONDITIONAL)
        return self._denoise(params, w, key)

    def _denoise(self, params: PyTree, w: Codes | None, key: Key[Array, ""] | None) -> Denoise:
        """The prediction under all that the network reads, w [B, d]."""
        schedule = self.schedule(params)

        def denoise(z_t, t):
            gamma_t = jax.lax.stop_gradient(schedule.gamma(t))
            output = self.network.apply(params["unet"], z_t, self._network_time(t, gamma_t), w, key=key)
            return to_prediction(self.prediction, output, z_t, gamma_t)

        return denoise

    def _network_time(self, t: Float[Array, " b"], gamma_t: Float[Array, " b"]) -> Float[Array, " b"]:
        """The time that the network reads: t, or how far a learned gamma has come in its range.

        Where a table adds no noise the network is trained at the first timestep with as much noise alone.
        """
        if isinstance(self.noise, LearnedNoise):
            low, high = self.noise.gamma_range
            return (gamma_t - low) / (high - low)
        if self._entries is None:
            return t
        num_steps = self.noise.num_steps
        return jnp.asarray(first_alike(self.noise))[jnp.round(t * num_steps).astype(int)] / num_steps

    # ---- times ------------------------------------------------------------------------------------------------------

    @cached_property
    def _entries(self) -> Int[np.ndarray, " m"] | None:
        """The timesteps that are trained where no bound weighs all of them: those at which the table adds noise."""
        return noisy_entries(self.noise) if self.fixed_schedule and self.fixed_schedule.no_bound else None

    def chain_length(self) -> int | None:
        """T of the bound: the table's own, or that of `objective`; None for T = ∞."""
        return (self.fixed_schedule.num_steps if self.fixed_schedule else None) or self.objective.num_steps

    def in_chain(self, t: Float[Array, " b"]) -> Float[Array, " b"]:
        """Times of [0, 1) as the loss takes them: the step i = 1 + floor(t T) of a chain; of a table with stretches
        without noise, a step that adds noise."""
        if (num_steps := self.chain_length()) is None:
            return t
        return to_steps(t, num_steps) if self._entries is None else to_entries(t, self._entries, num_steps)

    # ---- losses -----------------------------------------------------------------------------------------------------

    def describe_objective(self) -> str:
        """What is minimised, in words. D + R bounds -log p(x) whatever that is."""
        weighting = self.objective.weighting
        if self.objective.loss == "mean_square":
            return f"||eps - eps_hat||²/D with {weighting} weighting, not a bound on -log p(x)"
        weighted = "" if weighting == "bound" else f", {weighting} weighting of the diffusion term"
        return ("D, without a code" if self.code is None else self.code.objective) + weighted

    def to_x(self, data: Any) -> Float[Array, "b ..."]:
        """The values that are noised, of data as a batch holds them."""
        return data if self.likelihood is None else self.likelihood.to_x(data)

    def losses(
        self,
        key: Key[Array, ""],
        params: PyTree,
        data: Any,
        w: Codes | None,
        t: Float[Array, " b"],
        dropout_key: Key[Array, ""] | None = None,
    ) -> Losses:
        """The bound under given codes, from one draw of noise."""
        return vdm_losses(
            key,
            data,
            self.denoise(params, w, dropout_key),
            self.schedule(params),
            t,
            self.likelihood,
            weighting=self.objective.weighting,
            num_steps=self.objective.num_steps,
            minimise_variance=self.objective.minimise_variance,
        )

    def loss_fn(
        self, params: PyTree, carry: PyTree, batch: dict[str, Array], key: Key[Array, ""], step: Any
    ) -> tuple[Float[Array, " b"], dict[str, Array]]:
        """What training minimises, [B], and metrics by name.

        batch: "levels", the data [B, ...] (continuous x for a likelihood that takes them), and "held_out" where the
        rate mode is steered by the KL of validation data. loss="bound": reconstruction + prior + weighted diffusion +
        the rate mode's penalty, nats. loss="mean_square": weighted ||eps - eps_hat||²/D, without metrics.
        """
        data = batch["levels"]
        t = self.in_chain(stratified_times(named_key(key, "times"), len(data)))
        dropout_key = named_key(key, "unet_dropout")
        if self.objective.loss == "mean_square":
            return self._mean_square(named_key(key, "noise"), params, data, t, dropout_key), {}
        if self.code is None:
            losses = self.losses(named_key(key, "bound"), params, data, None, t, dropout_key)
            loss = losses.terms.reconstruction + losses.terms.prior + losses.trained
            return loss, metrics_of(losses.terms, self.num_dims, None)
        rate = self.code.rate
        code = self._code(named_key(key, "code"), params, data, named_key(key, "encoder_dropout"))
        w = rate.shown(named_key(key, "shown"), code.w)
        losses = self.losses(named_key(key, "bound"), params, data, w, t, dropout_key)
        trained = rate.emphasis(jax.lax.stop_gradient(losses.gamma_t)) * losses.trained
        loss = losses.terms.reconstruction + losses.terms.prior + trained + rate.penalty(code, carry, step)
        metrics = metrics_of(losses.terms, self.num_dims, code.rate) | {"beta": rate.multiplier(carry, step)}
        if "held_out" in batch:
            held_out = self._code(named_key(key, "held_out"), params, batch["held_out"])
            metrics["held_out_rate"] = jax.lax.stop_gradient(held_out.rate)
        return loss, metrics

    def _code(self, key: Key[Array, ""], params: PyTree, data: Any, dropout_key: Key[Array, ""] | None = None) -> Code:
        return self.code.draw(key, params, self.to_x(data), dropout_key)

    def _mean_square(
        self,
        key: Key[Array, ""],
        params: PyTree,
        data: Any,
        t: Float[Array, " b"],
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, " b"]:
        denoise, weighting = self.denoise(params, key=dropout_key), self.objective.weighting
        return denoising_losses(key, self.to_x(data), denoise, self.schedule(params), t, weighting=weighting)

    def select(self, means: dict[str, float]) -> float:
        """The validation score of a checkpoint, lower is better, from the means of its terms."""
        if self.code is not None:
            return self.code.rate.select(means["distortion"], means["rate"])
        return means["bound"] if self.objective.loss == "bound" else means["loss"]

    def init_carry(self) -> PyTree:
        """What the loss remembers from step to step, before the first."""
        return self.code.rate.init() if self.code else {}

    def update_carry(self, carry: PyTree, means: dict[str, Array], step: Any) -> PyTree:
        """The carry after a step; the rate is that of held-out data where the batch has some."""
        return self.code.rate.update(carry, means.get("held_out_rate", means["rate"]), step) if self.code else carry

    def terms(
        self, params: PyTree, keys: Key[Array, " b"], t: Float[Array, " b"], batch: dict[str, Array]
    ) -> dict[str, Array]:
        """Terms of each example from its own key, for `evals.bpd`: `metrics_of` the bound where one is defined.

        batch: "levels", and with a code its moments "mu" and "logvar". loss="mean_square" adds "loss" from the same
        draw, and leaves out the distortion, which is the bound.
        """

        def one(key, t, data, *moments):
            w = draw_code(named_key(key, "code"), *moments) if self.code else None
            at = self.in_chain(t)
            if self.no_bound:
                return {"loss": self._mean_square(key, params, data, at)}
            losses = self.losses(key, params, data, w, at)
            rate = self.code.rates(params, named_key(key, "rate"), *moments, w, t) if self.code else None
            found = metrics_of(losses.terms, self.num_dims, rate)
            if self.objective.loss == "bound":
                return found
            return {"loss": 2 * losses.trained / self.num_dims} | {name: found[name] for name in OF_THE_BOUND}

        names = ("levels", *(("mu", "logvar") if self.code else ()))
        return one_by_one(one, keys, t, *(batch[name] for name in names))
