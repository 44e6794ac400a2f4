"""DRL, VDRL and class-conditional diffusion: a diffusion model that is trained by denoising score matching."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.prediction import Denoise, Prediction
from vdm_jax.diffusion.rate import NoRate
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.diffusion.score_matching.conditional import ALL_NOISE, Band, score_losses
from vdm_jax.diffusion.times import stratified_times
from vdm_jax.models.code import TimedCode, draw_code
from vdm_jax.models.diffusion import Codes, DiffusionModel
from vdm_jax.models.terms import metrics_of, one_by_one

HIDDEN = -1  # the label of an example whose label the network does not see
OF_THE_BOUND = ("bound", "bpd")
Labels = Int[Array, " b"]


@dataclass(frozen=True, eq=False)
class ConditionalScoreModel(DiffusionModel):
    """The loss is E lambda(t) ||s(z_t, t, w) - ∇ log q(z_t | x)||², of `diffusion/score_matching/conditional.py`.

    DRL has a deterministic code and the rate mode "none". VDRL has a noisy one, whose rate mode adds its penalty. A
    model without a code, or with labels alone, is trained in the same way. The draws of times, noise and codes have the
    keys of the bound's: with weighting="bound" a VDRL is trained on the very noise of a VAE-VDM of that seed.

    What the network reads is the code w and the label as one-hot numbers, [B, w_dim + num_labels], through the same
    layers. A hidden label is zeros.

    band: of log SNR; noise outside is not trained. Of a continuous schedule all times are drawn within it.
    num_labels: classes that are given to the network; 0 for none.
    label_dropout: the share of examples whose label is hidden in training.
    guidance: g of classifier-free guidance, eps_hat(label) + g (eps_hat(label) - eps_hat(hidden)), 0 for none (Ho &
        Salimans 2022, their w). The code is read in both.
    """

    known_losses: ClassVar[dict[str, str]] = {"conditional_score": "lambda(t) ||score error||² + the rate's penalty"}

    band: Band = ALL_NOISE
    num_labels: int = 0
    label_dropout: float = 0.1
    guidance: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.noise, Schedule):
            raise UserError(
                "loss='conditional_score' needs a fixed schedule, such as linear: a learned one changes its weighting"
            )
        if self.code is not None and self.code.deterministic and not isinstance(self.code.rate, NoRate):
            raise UserError(
                "the code is deterministic, so its rate is infinite; choose rate.mode='none', or a noisy code"
            )
        if self.guidance and not self.num_labels:
            raise UserError(f"guidance={self.guidance:g} is for labels, and the model reads none")
        first, last = self._ends
        steps = self.chain_length()
        held = steps is None or self.band.holds(self.noise.gamma(jnp.arange(1, steps + 1) / steps)).any()
        if not (first < last and held):
            low, high = (float(-self.noise.gamma(jnp.float32(t))) for t in (1.0, self.noise.t_first))
            band = f"{self.band.low:g} … {self.band.high:g}"
            raise UserError(
                f"band of log SNR {band} is empty in this schedule, whose log SNR is {low:.4g} … {high:.4g}"
            )

    # ---- parts ------------------------------------------------------------------------------------------------------

    @property
    def w_dim(self) -> int:
        """The width of the code, 0 without one."""
        return self.code.w_dim if self.code else 0

    @property
    def no_terms(self) -> str | None:
        """Why the terms of the bound are not defined; None where they are."""
        return super().no_bound

    @property
    def no_bound(self) -> str | None:
        """Why D + R is no bound on -log p(x); None where it is."""
        if self.num_labels:
            return self.no_terms or "the label is given: D + R is about -log p(x | label)"
        return self.no_terms or (self.code.no_bound if self.code else None)

    def condition(self, w: Codes | None, labels: Labels | None = None) -> Float[Array, "b k"] | None:
        """What the network reads, [B, w_dim + num_labels]: the code, and the labels, of which -1 is hidden; None where
        it reads neither."""
        parts = [] if w is None else [w]
        if labels is not None and self.num_labels:
            parts += [jax.nn.one_hot(labels, self.num_labels)]
        return jnp.concatenate(parts, axis=1) if parts else None

    def denoise(self, params: PyTree, w: Codes | TimedCode | None = None, key: Key[Array, ""] | None = None) -> Denoise:
        """The prediction at (z_t, t) under w: codes [B, w_dim], with labels hidden; a `condition`; or a `TimedCode`.

        A model with a code takes w = 0 for None. A key switches dropout on. Raises `UserError` for a w of another
        width.
        """

        def denoise(z_t, t):
            codes = None if w is None else self.code.at(params, w, t) if self.code else w
            found = self._denoise(params, self._whole(codes), key)(z_t, t)
            if not self.guidance or codes is None or codes.shape[1] == self.w_dim:
                return found
            hidden = self._denoise(params, codes.at[:, self.w_dim :].set(0.0), key)(z_t, t)
            towards = (one + self.guidance * (one - other) for one, other in zip(found, hidden, strict=True))
            return Prediction(*towards)

        return denoise

    def _whole(self, codes: Codes | None) -> Float[Array, "b k"] | None:
        """Codes with hidden labels where these are missing."""
        if codes is None or not self.num_labels or codes.shape[1] != self.w_dim:
            return codes
        return jnp.pad(codes, ((0, 0), (0, self.num_labels)))

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """The times between which a continuous schedule is trained."""
        return (0.0, 1.0) if self.chain_length() or self.band.is_all else self.band.times(self.noise)

    # ---- losses -----------------------------------------------------------------------------------------------------

    def describe_objective(self) -> str:
        """What is minimised, in words."""
        band = "" if self.band.is_all else f", of log SNR {self.band.low:g} … {self.band.high:g} alone"
        score = f"J, the error of the conditional score with {self.objective.weighting} weighting{band}"
        if self.code is None or self.code.deterministic:
            return score
        return f"{score}, in place of D: {self.code.objective}"

    def loss_fn(
        self, params: PyTree, carry: PyTree, batch: dict[str, Array], key: Key[Array, ""], step: Any
    ) -> tuple[Float[Array, " b"], dict[str, Array]]:
        """What training minimises, [B], and metrics by name: "score_loss", J; of a noisy code "rate", nats, and "beta".

        batch: as in `DiffusionModel.loss_fn`; with labels also "labels" [B].
        """
        x = self.to_x(batch["levels"])
        first, last = self._ends
        t = self.in_chain(first + (last - first) * stratified_times(named_key(key, "times"), len(x)))
        w, penalty, metrics = None, 0.0, {}
        if self.code is not None:
            code = self._drawn(named_key(key, "code"), params, x, t, named_key(key, "encoder_dropout"))
            w = self.code.rate.shown(named_key(key, "shown"), code.w)
            if not self.code.deterministic:
                penalty = self.code.rate.penalty(code, carry, step)
                metrics = {"rate": code.rate, "beta": self.code.rate.multiplier(carry, step)}
        condition = self.condition(w, self._shown_labels(named_key(key, "labels"), batch))
        denoise = self.denoise(params, condition, named_key(key, "unet_dropout"))
        score = (last - first) * self._score_losses(named_key(key, "bound"), params, x, denoise, t)
        if "held_out" in batch:
            held_out = self.to_x(batch["held_out"])
            at = first + (last - first) * stratified_times(named_key(key, "held_out_times"), len(held_out))
            of_held_out = self._drawn(named_key(key, "held_out"), params, held_out, self.in_chain(at))
            metrics["held_out_rate"] = jax.lax.stop_gradient(of_held_out.rate)
        trained = score if self.code is None else self.code.rate.emphasis(self.noise.gamma(t)) * score
        return trained + penalty, metrics | {"score_loss": score}

    def _drawn(self, key, params: PyTree, x: Float[Array, "b ..."], t: Float[Array, " b"], dropout_key=None):
        """The codes of x; of E(x, t) at the times t."""
        return self.code.draw(key, params, x, dropout_key, t if self.code.of_time else None)

    def _shown_labels(self, key: Key[Array, ""], batch: dict[str, Array]) -> Labels | None:
        """The labels of a batch of training, some of them hidden."""
        if not self.num_labels:
            return None
        hidden = jax.random.bernoulli(key, self.label_dropout, batch["labels"].shape)
        return jnp.where(hidden, HIDDEN, batch["labels"])

    def _score_losses(
        self, key: Key[Array, ""], params: PyTree, x: Float[Array, "b ..."], denoise: Denoise, t: Float[Array, " b"]
    ) -> Float[Array, " b"]:
        weighting, num_steps = self.objective.weighting, self.objective.num_steps
        settings = {"weighting": weighting, "num_steps": num_steps, "band": self.band}
        return score_losses(key, x, denoise, self.schedule(params), t, **settings)

    def update_carry(self, carry: PyTree, means: dict[str, Array], step: Any) -> PyTree:
        """The carry after a step; a deterministic code has no rate to follow."""
        return super().update_carry(carry, means, step) if "rate" in means else carry

    def select(self, means: dict[str, float]) -> float:
        """J, and with a noisy code what its rate mode makes of J and the rate."""
        score = means["score_loss"]
        return self.code.rate.select(score, means["rate"]) if "rate" in means else score

    def terms(
        self, params: PyTree, keys: Key[Array, " b"], t: Float[Array, " b"], batch: dict[str, Array]
    ) -> dict[str, Array]:
        """Terms of each example from its own key: "score_loss", J; of a noisy code "rate"; where a bound is defined the
        distortion D and its terms, and "bound" and "bpd" where D + R is one.

        batch: "levels"; with a code of all times its moments "mu" and "logvar"; with labels "labels". Codes and noise
        are those of `DiffusionModel.terms`.
        """
        names = [name for name in ("mu", "logvar", "labels") if name in batch]

        def one(key, t, data, *values):
            given, at, x = dict(zip(names, values, strict=True)), self.in_chain(t), self.to_x(data)
            w, rate = None, None
            if self.code is not None:
                moments = (given["mu"], given["logvar"]) if self.has_moments else self.code.encode(params, x, t=at)
                w = draw_code(named_key(key, "code"), *moments)
                if not self.code.deterministic:
                    rate = self.code.rates(params, named_key(key, "rate"), *moments, w, t)
            condition = self.condition(w, given.get("labels"))
            of_rate = {} if rate is None else {"rate": rate}
            if self.no_terms:
                return of_rate | {"score_loss": self._score_losses(key, params, x, self.denoise(params, condition), at)}
            losses = self.losses(key, params, data, condition, at)
            found = metrics_of(losses.terms, self.num_dims, rate)
            left_out = OF_THE_BOUND if self.no_bound else ()
            found = {name: value for name, value in found.items() if name not in left_out}
            return found | {"score_loss": jnp.where(self.band.holds(losses.gamma_t), losses.trained, 0.0)}

        return one_by_one(one, keys, t, batch["levels"], *(batch[name] for name in names))
