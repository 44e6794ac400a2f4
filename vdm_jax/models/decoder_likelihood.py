"""p(image | u) of an autoencoder's decoder: Bernoulli, Gaussian, or a softmax over the levels.

The output of the decoder is [B, ...], one number for each value of the image. Noise that is the same at every value is
one learned parameter, `log_sigma`, or a given number.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, PyTree

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.images import to_pixels
from vdm_jax.diffusion.gaussian import sum_values

Output = Float[Array, "b ..."]
Levels = Integer[Array, "b ..."]
FIRST_SIGMA = 0.5  # of a learned one before training, in the scale of the pixel values
LOG_SIGMA = "log_sigma"


@runtime_checkable
class DecoderLikelihood(Protocol):
    """The interface between data and a decoder. `data` are what a batch holds, [B, ...]."""

    no_bits: str | None  # why nats of -log p(data) are no bits of the images; None where they are

    def init_params(self) -> PyTree:
        """Its own parameters; {} for none."""

    def to_x(self, data: Any) -> Output:
        """What the encoder sees."""

    def log_prob(self, params: PyTree, data: Any, output: Output) -> Float[Array, " b"]:
        """log p(data | u), nats."""

    def pixels(self, output: Output) -> Output:
        """The mean of p(data | u), in the scale of what the encoder sees."""


@dataclass(frozen=True, eq=False)
class BernoulliDecoder:
    """Two levels. The output is the logit of the upper one."""

    pixel_values: Float[np.ndarray, " k"]
    no_bits: ClassVar[None] = None

    def __post_init__(self) -> None:
        if len(self.pixel_values) != 2:
            why = f"model.likelihood='bernoulli' is for images of two levels, and these have {len(self.pixel_values)}"
            raise UserError(f"{why}; expected gaussian or levels")

    def init_params(self) -> PyTree:
        return {}

    def to_x(self, data: Levels) -> Output:
        return to_pixels(data, self.pixel_values)

    def log_prob(self, params: PyTree, data: Levels, output: Output) -> Float[Array, " b"]:
        """Σ log sigmoid(±output), + where the level is 1."""
        return sum_values(jax.nn.log_sigmoid(jnp.where(data > 0, output, -output)))

    def pixels(self, output: Output) -> Output:
        low, high = (float(value) for value in self.pixel_values)
        return low + (high - low) * jax.nn.sigmoid(output)


@dataclass(frozen=True, eq=False)
class GaussianDecoder:
    """N(x; output, sigma²) for each value x of the encoder's scale: a density, so that its nats may be below 0 and are
    no bits of the levels.

    pixel_values: [K]; None for data that are x themselves. sigma: given, or None for one learned number.
    """

    pixel_values: Float[np.ndarray, " k"] | None
    sigma: float | None = None
    no_bits: ClassVar[str] = "a Gaussian likelihood is a density, in the scale of the pixel values"

    def init_params(self) -> PyTree:
        return _sigma_params(self.sigma)

    def to_x(self, data: Any) -> Output:
        return data if self.pixel_values is None else to_pixels(data, self.pixel_values)

    def log_prob(self, params: PyTree, data: Any, output: Output) -> Float[Array, " b"]:
        """-Σ [½ (x - output)²/sigma² + log sigma + ½ log 2π]."""
        log_sigma = _log_sigma(self.sigma, params)
        scaled = (self.to_x(data) - output) * jnp.exp(-log_sigma)
        return -sum_values(0.5 * scaled**2 + log_sigma + 0.5 * math.log(2 * math.pi))

    def pixels(self, output: Output) -> Output:
        return output


@dataclass(frozen=True, eq=False)
class LevelsDecoder:
    """p(level k) ∝ exp(-½ (output - x_k)²/sigma²) over the K pixel values, the form of VDM's eq. 8.

    sigma: given, or None for one learned number.
    """

    pixel_values: Float[np.ndarray, " k"]
    sigma: float | None = None
    no_bits: ClassVar[None] = None

    def init_params(self) -> PyTree:
        return _sigma_params(self.sigma)

    def to_x(self, data: Levels) -> Output:
        return to_pixels(data, self.pixel_values)

    def log_prob(self, params: PyTree, data: Levels, output: Output) -> Float[Array, " b"]:
        return sum_values(jnp.take_along_axis(self._log_p(params, output), data[..., None].astype(int), -1)[..., 0])

    def pixels(self, output: Output) -> Output:
        """The output itself, kept to the range of the pixel values. The mean of p differs from it by less than a level
        where sigma is small against the range."""
        return jnp.clip(output, float(self.pixel_values[0]), float(self.pixel_values[-1]))

    def _log_p(self, params: PyTree, output: Output) -> Float[Array, "b ... k"]:
        values = jnp.asarray(self.pixel_values).reshape((1,) * output.ndim + (-1,))
        scaled = (output[..., None] - values) * jnp.exp(-_log_sigma(self.sigma, params))
        return jax.nn.log_softmax(-0.5 * scaled**2, axis=-1)


LIKELIHOODS = {"bernoulli": BernoulliDecoder, "gaussian": GaussianDecoder, "levels": LevelsDecoder}
HAVE_SIGMA = ("gaussian", "levels")


def make_decoder_likelihood(
    name: str, pixel_values: Float[np.ndarray, " k"], sigma: float | None = None
) -> DecoderLikelihood:
    """The likelihood `name`, one of `LIKELIHOODS`. Raises `UserError` for data or a sigma that it does not take."""
    kind = choose("model.likelihood", name, LIKELIHOODS)
    if sigma is not None and not 0 < sigma < math.inf:
        raise UserError(f"model.sigma={sigma}; expected a number above 0, or none for one that is learned")
    return kind(pixel_values, sigma) if name in HAVE_SIGMA else kind(pixel_values)


def _sigma_params(sigma: float | None) -> PyTree:
    return {LOG_SIGMA: jnp.float32(math.log(FIRST_SIGMA))} if sigma is None else {}


def _log_sigma(sigma: float | None, params: PyTree) -> Float[Array, ""]:
    return params[LOG_SIGMA] if sigma is None else jnp.float32(math.log(sigma))
