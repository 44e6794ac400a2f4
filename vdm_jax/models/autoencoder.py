"""One autoencoder as pure functions. AE, VAE, beta-, DIP-, conditional, KL- and VQ-VAE are settings of it."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.keys import named_key
from vdm_jax.base.space import Space
from vdm_jax.diffusion.gaussian import sum_values
from vdm_jax.diffusion.rate import Code, NoRate, RateMode, encoder_kl
from vdm_jax.models.adversarial import ReconstructionLoss
from vdm_jax.models.code import draw_code, flat
from vdm_jax.models.decoder_likelihood import DecoderLikelihood
from vdm_jax.models.dip import DIP, DipWeights, code_covariance, dip_penalty
from vdm_jax.models.terms import code_metrics, one_by_one
from vdm_jax.models.vq import Quantised, VectorQuantiser
from vdm_jax.networks.autoencoder import OUTPUT, Backbone

Latents = Float[Array, "b ..."]
Labels = Int[Array, " b"]

CODES = {
    "gaussian": "q(u | x) = N(mean, variance)",
    "deterministic": "u is a function of x",
    "quantised": "u are rows of a codebook",
}
REGULARISERS = {"none": 0.0} | DIP


@dataclass(frozen=True, eq=False)
class Autoencoder:
    """Plain objects and what follows from them; a static argument of what is compiled.

    backbone: encoder and decoder. shape: of one image. unit: the difference of the largest and the smallest pixel
    value, by which squared errors are put in [0, 1] pixels.
    code: one of `CODES`. quantiser: of a quantised code.
    rate: how KL(q(u | x) || N(0, I)) enters the loss of a Gaussian code.
    regulariser: "none", "dip1" or "dip2", with the weights `dip`.
    reconstruction: what replaces -log p(x | u) in the loss; None: nothing.
    num_classes: of the labels that both halves read; 0: none.
    """

    backbone: Backbone
    shape: tuple[int, ...]
    likelihood: DecoderLikelihood
    unit: float = 1.0
    code: str = "gaussian"
    quantiser: VectorQuantiser | None = None
    rate: RateMode = field(default_factory=NoRate)
    regulariser: str = "none"
    dip: tuple[float, float] = (0.0, 0.0)
    reconstruction: ReconstructionLoss | None = None
    num_classes: int = 0

    def __post_init__(self) -> None:
        choose("model.code", self.code, CODES)
        choose("regulariser.name", self.regulariser, REGULARISERS)
        if self.regulariser != "none" and self.code != "gaussian":
            raise UserError(f"regulariser.name={self.regulariser!r} needs model.code='gaussian', not {self.code!r}")
        if self.code != "gaussian" and not isinstance(self.rate, NoRate):
            mode = type(self.rate).__name__
            raise UserError(f"{mode} needs model.code='gaussian', not {self.code!r}; expected rate.mode='none'")
        if (self.code == "quantised") != (self.quantiser is not None):
            raise UserError(f"model.code={self.code!r} and a codebook go together")

    # ---- parts ------------------------------------------------------------------------------------------------------

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Of one code."""
        return self.backbone.latent_shape

    @property
    def num_dims(self) -> int:
        """D, the number of values in an image."""
        return int(np.prod(self.shape))

    @property
    def no_bound(self) -> str | None:
        """Why D + R is not given as a bound on -log p(x); None where it is one."""
        if self.code == "deterministic":
            return "a deterministic code has no density q(u | x): its rate is infinite"
        return "no prior of the indices is trained" if self.code == "quantised" else self.no_likelihood

    @property
    def no_likelihood(self) -> str | None:
        """Why log p(x | u) is not that of the trained decoder; None where it is."""
        distance = getattr(self.reconstruction, "distance", None)
        return distance and f"the {distance} distance is minimised in place of -log p(x | u)"

    @property
    def is_two_player(self) -> bool:
        """Whether a discriminator is trained, with an optimizer of its own."""
        return getattr(self.reconstruction, "discriminator", None) is not None

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Fresh parameters: "encoder", "decoder", and where there are any "likelihood", "codebook", "discriminator"."""
        found = {
            "encoder": self.backbone.encoder.init(named_key(key, "encoder")),
            "decoder": self.backbone.decoder.init(named_key(key, "decoder")),
            "likelihood": self.likelihood.init_params(),
        }
        if self.quantiser is not None:
            found["codebook"] = self.quantiser.init_params(named_key(key, "codebook"))
        if self.is_two_player:
            found["discriminator"] = self.reconstruction.discriminator.init(named_key(key, "discriminator"))
        return {name: part for name, part in found.items() if part}

    @property
    def hyper(self) -> dict[str, Float[Array, ""]]:
        """The numbers in which members of an ensemble may differ: arguments of what is compiled, in the carry."""
        found = {"beta": self.rate.beta} if hasattr(self.rate, "beta") else {}
        if self.regulariser != "none":
            found |= dict(zip(DipWeights._fields, self.dip, strict=True))
        return {name: jnp.float32(value) for name, value in found.items()}

    def init_carry(self, key: Key[Array, ""]) -> PyTree:
        """What the loss remembers from step to step, before the first: "hyper", "rate", and where there are any
        "codebook" (of moving averages) and "features" (of a perceptual loss; they stay as they are)."""
        found = {"hyper": self.hyper, "rate": self.rate.init()}
        if self.quantiser is not None:
            found["codebook"] = self.quantiser.init_carry(named_key(key, "codebook"))
        if self.reconstruction is not None and self.reconstruction.features is not None:
            found["features"] = self.reconstruction.feature_params
        return {name: part for name, part in found.items() if part}

    def complete(self, params: PyTree, carry: PyTree) -> PyTree:
        """The parameters with the codebook of moving averages, which the carry holds. For all that follows training."""
        codes = carry.get("codebook", {}).get("codes")
        return params if codes is None else params | {"codebook": {"codes": codes}}

    # ---- both directions --------------------------------------------------------------------------------------------

    def moments(self, params: PyTree, data: Any, labels: Labels | None = None) -> tuple[Latents, Latents | None]:
        """Mean and variance of q(u | x), [B, *latent_shape] each; None for the variance of a function of x.

        A quantised code is its own mean. Raises `UserError` for a conditional model without labels.
        """
        mean, logvar = self._encode(params, data, labels)
        if self.quantiser is not None:
            codes = params["codebook"]["codes"]
            return codes[self.quantiser.nearest(codes, mean)], None
        return mean, None if logvar is None else jnp.exp(logvar)

    def decode(self, params: PyTree, u: Latents, labels: Labels | None = None) -> Latents:
        """The mean image of p(x | u) as pixel values, [B, *shape]."""
        return self.likelihood.pixels(self._output(params, u, labels))

    def log_prob(self, params: PyTree, data: Any, u: Latents, labels: Labels | None = None) -> Float[Array, " b"]:
        """log p(x | u), nats."""
        return self.likelihood.log_prob(params.get("likelihood", {}), data, self._output(params, u, labels))

    def space(self, params: PyTree, name: str, fingerprint: str) -> Space:
        """The space of its codes. Raises `UserError` for a conditional model, whose code alone is no image."""
        if self.num_classes:
            raise UserError(f"{name} is conditional: a code decodes to an image only with a label; it is no space")
        log_prob = None if self.no_likelihood else self.log_prob
        return Space(name, fingerprint, self.latent_shape, params, self.moments, self.decode, log_prob, None)

    def _encode(self, params: PyTree, data: Any, labels: Labels | None) -> tuple[Latents, Latents | None]:
        return self.backbone.encoder.apply(params["encoder"], self.likelihood.to_x(data), self._one_hot(labels))

    def _output(self, params: PyTree, u: Latents, labels: Labels | None) -> Latents:
        return self.backbone.decoder.apply(params["decoder"], u, self._one_hot(labels))

    def _one_hot(self, labels: Labels | None) -> Float[Array, "b k"] | None:
        if not self.num_classes:
            return None
        if labels is None:
            raise UserError("the model is conditional: labels are missing")
        return jax.nn.one_hot(labels, self.num_classes)

    # ---- losses -----------------------------------------------------------------------------------------------------

    def describe_objective(self) -> str:
        """What is minimised, in words."""
        distortion = "D" if self.reconstruction is None else f"{self.reconstruction.distance} distance"
        if self.code != "gaussian":
            return f"{distortion}, {CODES[self.code]}"
        objective = self.rate.objective.replace("D", distortion, 1)
        return objective if self.regulariser == "none" else f"{objective} + the penalty of {self.regulariser}"

    def loss_fn(
        self, params: PyTree, carry: PyTree, batch: dict[str, Array], key: Key[Array, ""], step: Any
    ) -> tuple[Float[Array, " b"], dict[str, Any]]:
        """What training minimises, [B], and metrics by name, [B] or [] each, with the batch's "statistics" and
        "draws" of a codebook.

        batch: "levels", the data; "labels" of a conditional model; "held_out" (and "held_out_labels") where the rate
        mode is steered by the KL of validation data.
        """
        data, labels = batch["levels"], batch.get("labels")
        mean, logvar = self._encode(params, data, labels)
        code, quantised = self._draw(key, params, carry, mean, logvar)
        u = code.w.reshape(mean.shape) if code is not None else mean if quantised is None else quantised.u
        output = self._output(params, u, labels)
        distortion = -self.likelihood.log_prob(params.get("likelihood", {}), data, output)
        metrics = self.metrics_of(distortion, None if code is None else code.rate, self.squared_error(data, output))
        loss = distortion
        if self.reconstruction is not None:
            loss, found = self._reconstruction(params, carry, data, u, labels, output, step)
            metrics |= found
        if code is not None:
            mode = self._mode(carry)
            loss = loss + mode.penalty(code, carry.get("rate", {}), step)
            metrics["beta"] = mode.multiplier(carry.get("rate", {}), step)
        if self.regulariser != "none":
            weights = DipWeights(*(carry["hyper"][name] for name in DipWeights._fields))
            metrics["dip"] = dip_penalty(code_covariance(self.regulariser, code.mu, code.logvar), weights)
            loss = loss + metrics["dip"]
        if quantised is not None:
            loss = loss + quantised.loss
            metrics |= quantised.metrics | quantised.for_update
        if "held_out" in batch:
            kept = self._encode(params, batch["held_out"], batch.get("held_out_labels"))
            metrics["held_out_rate"] = jax.lax.stop_gradient(sum_values(encoder_kl(*(flat(part) for part in kept))))
        return loss, metrics

    def update_carry(self, carry: PyTree, means: dict[str, Any], step: Any) -> PyTree:
        """The carry after a step; the rate is that of held-out data where the batch has some."""
        found = dict(carry)
        if "rate" in carry:
            mean_rate = means.get("held_out_rate", means.get("rate"))
            found["rate"] = self._mode(carry).update(carry["rate"], mean_rate, step)
        if "codebook" in carry:
            found["codebook"] = self.quantiser.update(carry["codebook"], means["statistics"], means["draws"])
        return found

    def terms(
        self, params: PyTree, keys: Key[Array, " b"], _: Float[Array, " b"], batch: dict[str, Array]
    ) -> dict[str, Array]:
        """Terms of each example from its own key, for `evals.bpd`: `metrics_of` a drawn code, and
        "squared_error_of_mean", that of the mean code. params: as `complete` returns them.

        batch: "levels"; "labels" of a conditional model.
        """

        def one(key, data, *labels):
            given = labels[0] if labels else None
            mean, variance = self.moments(params, data, given)
            gaussian = variance is not None
            logvar = jnp.log(variance) if gaussian else None
            u = draw_code(named_key(key, "code"), flat(mean), flat(logvar)) if gaussian else mean
            output = self._output(params, u.reshape(mean.shape), given)
            distortion = -self.likelihood.log_prob(params.get("likelihood", {}), data, output)
            rate = sum_values(encoder_kl(flat(mean), flat(logvar))) if gaussian else None
            of_mean = self._output(params, mean, given) if gaussian else output
            found = self.metrics_of(distortion, rate, self.squared_error(data, output))
            return found | {"squared_error_of_mean": self.squared_error(data, of_mean)}

        return one_by_one(one, keys, batch["levels"], *([batch["labels"]] if self.num_classes else []))

    def metrics_of(
        self, distortion: Float[Array, " b"], rate: Float[Array, " b"] | None, squared_error: Float[Array, " b"]
    ) -> dict[str, Float[Array, " b"]]:
        """`terms.code_metrics`; D only where the decoder is trained by it, D + R only where it is a bound."""
        given, dims = None if self.no_likelihood else distortion, None if self.likelihood.no_bits else self.num_dims
        return code_metrics(given, rate, squared_error, is_bound=self.no_bound is None, num_dims=dims)

    def squared_error(self, data: Any, output: Latents) -> Float[Array, " b"]:
        """||x - x_hat||², summed over the image, in [0, 1] pixels."""
        return sum_values((self.likelihood.to_x(data) - self.likelihood.pixels(output)) ** 2) / self.unit**2

    def _draw(
        self, key: Key[Array, ""], params: PyTree, carry: PyTree, mean: Latents, logvar: Latents | None
    ) -> tuple[Code | None, Quantised | None]:
        """The code that is decoded in training: drawn, or quantised; neither where it is the mean."""
        if self.quantiser is not None:
            book = carry["codebook"] if "codebook" in carry else params["codebook"]
            return None, self.quantiser.quantise(named_key(key, "codebook"), book["codes"], mean)
        if logvar is None:
            return None, None
        mu, logvar = flat(mean), flat(logvar)
        rate = encoder_kl(mu, logvar).sum(axis=1)
        return Code(mu, logvar, draw_code(named_key(key, "code"), mu, logvar), rate), None

    def _mode(self, carry: PyTree) -> RateMode:
        """The rate mode with the beta of the carry."""
        if not hasattr(self.rate, "beta"):
            return self.rate
        return dataclasses.replace(self.rate, beta=carry["hyper"]["beta"])

    def _reconstruction(
        self, params: PyTree, carry: PyTree, data: Any, u: Latents, labels: Labels | None, output: Latents, step: Any
    ) -> tuple[Float[Array, " b"], dict[str, Array]]:
        """`ReconstructionLoss.loss` of this batch, in place of the distortion."""
        decoder, fixed_u = jax.lax.stop_gradient((params["decoder"], u))

        def made(last: PyTree) -> Latents:
            return self.likelihood.pixels(self._output({"decoder": decoder | {OUTPUT: last}}, fixed_u, labels))

        x, x_hat = self.likelihood.to_x(data), self.likelihood.pixels(output)
        player, features = params.get("discriminator"), carry.get("features")
        return self.reconstruction.loss(player, features, x, x_hat, made, decoder[OUTPUT], step)
