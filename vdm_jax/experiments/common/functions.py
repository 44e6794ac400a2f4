"""What `vdm_jax.load` offers of a trained diffusion model: plain functions with their parameters bound."""

import pathlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Integer, Key, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import named_key
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.gaussian import noised
from vdm_jax.diffusion.objective import Terms
from vdm_jax.diffusion.prediction import Prediction
from vdm_jax.diffusion.rate import UNCONDITIONAL
from vdm_jax.diffusion.samplers import make_times, sample
from vdm_jax.diffusion.score_matching.langevin import method_of
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.codes import encode_all, guided, prior_codes
from vdm_jax.experiments.common.evaluate import sampling
from vdm_jax.models.code import TimedCode
from vdm_jax.models.diffusion import DiffusionModel
from vdm_jax.models.generate import generate

Levels = Integer[np.ndarray, "b h w c"]
ROUNDING = 1e-3  # tolerated in floating-point pixels
OF_A_CODE = ("encode", "interpolate")


def restore(experiment: Experiment, workdir: pathlib.Path) -> PyTree:
    """The parameters of the checkpoint that `config.evaluate` names, on every device. Raises `UserError`."""
    return load_weights(workdir, experiment.model, experiment.config).params


def diffusion_functions(experiment: Experiment, params: PyTree) -> dict[str, Callable]:
    """`sample`, `reconstruct`, `bound` and `denoise`; of a model with a code also `encode` and `interpolate`."""
    config = experiment.config
    values = getattr(experiment.model.likelihood, "pixel_values", None)  # those of a model of pixels
    data = experiment.data if values is None else replace(experiment.data, pixel_values=values)
    model = guided(experiment.model, config.sample)
    of_model = DiffusionFunctions(model, params, data, sampling(config.sample), config.evaluate.batch_size)
    of_a_code = OF_A_CODE if experiment.model.has_moments else OF_A_CODE[:1] if experiment.model.code else ()
    names = ("sample", "reconstruct", "bound", "denoise", *of_a_code)
    return {name: getattr(of_model, name) for name in names}


@dataclass(frozen=True, eq=False)
class DiffusionFunctions:
    """The functions of one model with its parameters.

    Images x are levels where their dtype is an integer, the model's pixels where it is floating point. Both are
    checked. Images that are returned are levels, [N, H, W, C]. A sampler or a number of steps of None is that of the
    run's config.
    """

    model: DiffusionModel
    params: PyTree
    data: Dataset
    settings: dict[str, Any]  # of `generate`
    batch_size: int

    def encode(self, x: ArrayLike, t: float | None = None) -> tuple[Float[Array, "b d"], Float[Array, "b d"]]:
        """mean and log variance of q(w | x), [B, w_dim] each; -∞ of a deterministic code. t: in [0, 1], of E(x, t)."""
        return _encode(self.model, self.params, to_pixels(x, self.data), None if t is None else jnp.float32(t))

    def sample(
        self,
        key: Key[Array, ""],
        n: int,
        *,
        sampler: str | None = None,
        num_steps: int | None = None,
        w: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> Levels:
        """n images from fresh noise, [n, H, W, C].

        sampler: "ancestral", "ancestral_beta", "ddim" or "dpmpp_2m". w: one code [w_dim] for all images, or one each
        [n, w_dim]; without it codes are drawn from the prior p(w). labels: of a model that reads them, one class for
        all images, or one each [n], with the guidance of the run's config; without it they are hidden. Raises
        `UserError` where there is no prior and no w, and for E(x, t), whose images `reconstruct` makes.
        """
        check_number(n)
        codes, code = self._codes(w, n), self.model.code
        if code is not None and code.of_time:
            raise UserError("there is a code for each time, and none to sample with; use reconstruct")
        if codes is None and code is not None:
            if not code.has_prior:
                raise UserError(f"there is no prior to draw w from, as {code.no_bound}; give w")
            codes = prior_codes(code, self.params, named_key(key, "prior_codes"), n)
        if labels is not None:
            codes = self.model.condition(None if codes is None else jnp.asarray(codes), self._labels(labels, n))
        settings = self.settings | self._chosen(sampler, num_steps)
        return self._levels(generate(self.model, self.params, named_key(key, "sample"), n, codes, **settings))

    def reconstruct(
        self,
        key: Key[Array, ""],
        x: ArrayLike,
        *,
        t: float = 1.0,
        sampler: str | None = None,
        num_steps: int | None = None,
    ) -> Levels:
        """Each x [B, H, W, C] noised to time t in (0, 1] and sampled back.

        A model with a code reads w = the mean of q(w | x). At t = 1 nearly all that remains of x is its code. t is
        rounded to the nearest of the sampler's times but the last.
        """
        if not 0 < t <= 1:
            raise UserError(f"t={t}; expected a time above 0 and at most 1")
        x = to_pixels(x, self.data)
        w = None
        if self.model.has_moments:
            w = _encode(self.model, self.params, x, None)[0]
        elif self.model.code is not None:
            w = TimedCode(x, jnp.zeros((len(x), self.model.code.w_dim)))
        chosen = self._chosen(sampler, num_steps)
        static = (chosen["sampler"], chosen["num_steps"], self.settings["grid"], self.settings["clip"])
        return self._levels(_run_back(self.model, self.params, key, x, w, jnp.float32(t), *static))

    def interpolate(
        self,
        x_a: ArrayLike,
        x_b: ArrayLike,
        n: int,
        *,
        key: Key[Array, ""] | None = None,
        num_steps: int | None = None,
    ) -> Levels:
        """n images along the straight line between the mean codes of two images [H, W, C].

        All start from the same noise (of `key`; None: that of seed 0) and follow DDIM, so that only the code differs.
        """
        check_number(n)
        start, end = (self.encode(np.asarray(x)[None])[0][0] for x in (x_a, x_b))
        w = jnp.linspace(start, end, n)
        key = jax.random.key(0) if key is None else key
        static = (self._chosen(None, num_steps)["num_steps"], self.settings["grid"], self.settings["clip"])
        return self._levels(_from_one_noise(self.model, self.params, key, w, *static))

    def bound(self, key: Key[Array, ""], x: ArrayLike, *, passes: int = 1) -> Terms:
        """The bound on -log p(x): `Terms(reconstruction, prior, diffusion, encoder_kl)`, [B] each, nats.

        Their sum is the bound of each image, averaged over `passes` draws of noise, time and code. encoder_kl is 0
        without a code. Raises `UserError` where no bound is defined (Dirac schedule).
        """
        if self.model.no_bound:
            raise UserError(self.model.no_bound)
        images = {"levels": to_levels(x, self.data)}
        if self.model.code is not None:
            images["mu"], images["logvar"] = encode_all(self.model, self.params, images["levels"], self.batch_size)
        return self._bound(key, images, passes)

    def _bound(self, key: Key[Array, ""], images: dict[str, np.ndarray], passes: int) -> Terms:
        """`bound` of images as a batch of training holds them."""
        if self.model.no_bound:
            raise UserError(self.model.no_bound)
        settings = {"passes": passes, "batch_size": self.batch_size, "key": key}
        found = evaluate_bound(self.model.terms, self.params, images, **settings).per_image
        terms = [found[name].astype(np.float32) for name in ("reconstruction", "prior", "diffusion")]
        return Terms(*terms, found["rate"].astype(np.float32) if "rate" in found else np.zeros_like(terms[0]))

    def denoise(self, z: ArrayLike, t: ArrayLike, w: ArrayLike | None = None) -> Prediction:
        """`Prediction(x, eps)`: the network's E[x | z_t, w] and E[eps | z_t, w], [B, *shape] each.

        z: z_t, [B, *shape], of images [B, H, W, C]. t: in [0, 1], one for all or one each. w: [w_dim] or [B, w_dim];
        without it a model with a code reads w = 0.
        """
        z = jnp.asarray(z, jnp.float32)
        if z.shape[1:] != self.model.shape:
            raise UserError(f"z has shape {list(z.shape)}; expected [B, {', '.join(map(str, self.model.shape))}]")
        times = np.asarray(t, np.float32)
        if times.shape not in ((), (len(z),)) or not ((times >= 0) & (times <= 1)).all():
            raise UserError(f"t={t}; expected a time in [0, 1], or {len(z)} of them")
        times = jnp.broadcast_to(jnp.asarray(times), (len(z),))
        return _denoise(self.model, self.params, z, times, self._codes(w, len(z)))

    def _chosen(self, sampler: str | None, num_steps: int | None) -> dict[str, Any]:
        if num_steps is not None:
            check_number(num_steps, "num_steps")
        chosen = {"sampler": sampler, "num_steps": num_steps}
        return {name: self.settings[name] if value is None else value for name, value in chosen.items()}

    def _codes(self, w: ArrayLike | None, n: int) -> Float[np.ndarray, "n d"] | None:
        """One code for each of n images; None for None."""
        if w is None:
            return None
        if self.model.code is None:
            raise UserError(f"w was given, but {UNCONDITIONAL}")
        w, w_dim = np.asarray(w, np.float32), self.model.code.w_dim
        if w.shape not in ((w_dim,), (n, w_dim)):
            raise UserError(f"w has shape {list(w.shape)}; expected [{w_dim}] or [{n}, {w_dim}]")
        if not np.isfinite(w).all():
            raise UserError("w holds values that are not finite")
        return np.broadcast_to(w, (n, w_dim))

    def _labels(self, labels: ArrayLike, n: int) -> Int[Array, " n"]:
        """One class for each of n images."""
        number, labels = self.model.num_labels, np.asarray(labels)
        if not number:
            raise UserError("labels were given, but the model reads none")
        whole = labels.shape in ((), (n,)) and np.issubdtype(labels.dtype, np.integer)
        if not (whole and ((labels >= 0) & (labels < number)).all()):
            raise UserError(f"labels={labels.tolist()}; expected a class from 0 to {number - 1}, or {n} of them")
        return jnp.broadcast_to(jnp.asarray(labels), (n,))

    def _levels(self, found: ArrayLike) -> Levels:
        return np.asarray(found).astype(self.data.test.levels.dtype)


@partial(jax.jit, static_argnums=0)
def _encode(model: DiffusionModel, params: PyTree, x: Float[Array, "b h w c"], t: Float[Array, ""] | None):
    return model.encode(params, x, t=None if t is None else jnp.full(len(x), t))


@partial(jax.jit, static_argnums=0)
def _denoise(model: DiffusionModel, params: PyTree, z: Float[Array, "b ..."], t: Float[Array, " b"], w):
    return model.denoise(params, w)(z, t)


@partial(jax.jit, static_argnums=(0, 6, 7, 8, 9))
def _run_back(model: DiffusionModel, params, key, x, w, t, sampler: str, num_steps: int, grid: str, clip: bool):
    """x noised to the time of the grid nearest to t, and sampled back."""
    schedule = model.schedule(params)
    times = make_times(schedule, num_steps, grid)
    first = jnp.argmin(jnp.abs(times[:-1] - t))
    z = noised(x, jax.random.normal(named_key(key, "eps"), x.shape), schedule.gamma(times[first]))
    x_range = model.x_range if clip else None
    z_0 = sample(key, model.denoise(params, w), schedule, z, times, method_of(sampler), x_range=x_range, first=first)
    return model.likelihood.decode(z_0, schedule.gamma(times[-1]))


@partial(jax.jit, static_argnums=(0, 4, 5, 6))
def _from_one_noise(model: DiffusionModel, params, key, w, num_steps: int, grid: str, clip: bool):
    """An image for each code by DDIM, all from the same noise."""
    schedule = model.schedule(params)
    times = make_times(schedule, num_steps, grid)
    z_1 = jnp.broadcast_to(jax.random.normal(named_key(key, "z_1"), model.shape)[None], (len(w), *model.shape))
    x_range = model.x_range if clip else None
    z_0 = sample(key, model.denoise(params, w), schedule, z_1, times, "ddim", x_range=x_range)
    return model.likelihood.decode(z_0, schedule.gamma(times[-1]))


def check_number(n: int, name: str = "n") -> None:
    """Raises `UserError` for a number of images or steps that is no whole number of at least 1."""
    if n != int(n) or n < 1:
        raise UserError(f"{name}={n}; expected a whole number, at least 1")


def to_pixels(x: ArrayLike, data: Dataset) -> Float[Array, "b h w c"]:
    """Images as the model's pixels. Integers are levels; floating-point numbers are taken as they are.

    Raises `UserError` for another shape than [B, H, W, C] of the data, and for values that are no level or no pixel.
    """
    x = np.asarray(x)
    if x.shape[1:] != data.shape or not len(x):
        raise UserError(f"x has shape {list(x.shape)}; expected [B, {', '.join(map(str, data.shape))}]")
    low, high = (float(value) for value in data.pixel_values[[0, -1]])
    if np.issubdtype(x.dtype, np.integer):
        if x.min() < 0 or x.max() >= data.num_levels:
            told = f"x holds integers {x.min()} … {x.max()}"
            raise UserError(f"{told}; expected levels 0 … {data.num_levels - 1}, or the model's pixels as floats")
        return jnp.asarray(data.pixel_values)[x]
    if not np.issubdtype(x.dtype, np.floating):
        raise UserError(f"x is of {x.dtype}; expected integers (levels) or floating-point numbers (the model's pixels)")
    if not np.isfinite(x).all() or x.min() < low - ROUNDING or x.max() > high + ROUNDING:
        told = f"x holds floating-point numbers {x.min():g} … {x.max():g}"
        raise UserError(f"{told}; expected the model's pixels {low:g} … {high:g}, or levels as integers")
    return jnp.asarray(x, jnp.float32)


def to_levels(x: ArrayLike, data: Dataset) -> Levels:
    """Images as levels on the host; the model's pixels are rounded to the nearest level. Checked as in `to_pixels`."""
    pixels = np.asarray(to_pixels(x, data))
    if np.issubdtype(np.asarray(x).dtype, np.integer):
        return np.asarray(x)
    return nearest_levels(pixels, data)


def nearest_levels(pixels: Float[np.ndarray, "b h w c"], data: Dataset) -> Levels:
    """The level of the nearest pixel value; of a pixel midway the lower one."""
    middles = (data.pixel_values[1:] + data.pixel_values[:-1]) / 2  # ascending
    dtype = data.test.stored.dtype if data.grid is None else np.uint8
    return np.searchsorted(middles, pixels).astype(dtype)
