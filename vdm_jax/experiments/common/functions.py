"""What `vdm_jax.load` offers of a trained diffusion model: plain functions with their parameters bound."""

import pathlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Integer, Key, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import named_key
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.gaussian import noised
from vdm_jax.diffusion.objective import Terms
from vdm_jax.diffusion.prediction import Prediction
from vdm_jax.diffusion.samplers import make_times, sample
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.codes import encode_all, prior_codes
from vdm_jax.experiments.common.evaluate import sampling
from vdm_jax.models.generate import generate

Levels = Integer[np.ndarray, "b h w c"]
ROUNDING = 1e-3  # tolerated in floating-point pixels


def restore(experiment: Experiment, workdir: pathlib.Path) -> PyTree:
    """The parameters of the checkpoint that `config.evaluate` names, on every device. Raises `UserError`."""
    return load_weights(workdir, experiment.model, experiment.config).params


def diffusion_functions(experiment: Experiment, params: PyTree) -> dict[str, Callable]:
    """`sample`, `reconstruct`, `bound` and `denoise`; of a model with a code also `encode` and `interpolate`.

    Images x are levels where their dtype is an integer, the model's pixels where it is floating point; both are
    checked. ArrayLike that are returned are levels, [N, H, W, C].
    """
    config, data, model = experiment.config, experiment.data, experiment.model
    defaults = sampling(config.sample)
    batch_size = config.evaluate.batch_size

    def encode(x: ArrayLike) -> tuple[Float[Array, "b d"], Float[Array, "b d"]]:
        """mean and log variance of q(w | x), [B, w_dim] each."""
        return encode_at(params, to_pixels(x, data))

    @jax.jit
    def encode_at(params, x):
        return model.encode(params, x)

    def sample_images(
        key: Key[Array, ""],
        n: int,
        *,
        sampler: str = defaults["sampler"],
        num_steps: int = defaults["num_steps"],
        w: ArrayLike | None = None,
    ) -> Levels:
        """n images from fresh noise as levels [n, H, W, C].

        sampler: one of "ancestral", "ancestral_beta", "ddim", "dpmpp_2m". w: one code [w_dim] for all, or one each
        [n, w_dim]; without it codes are drawn from the prior p(w).
        """
        if n < 1:
            raise UserError(f"n={n}; expected at least 1")
        codes = (
            codes_of(w, n)
            if w is not None or model.code is None
            else prior_codes(model.code, params, named_key(key, "prior_codes"), n)
        )
        settings = defaults | {"sampler": sampler, "num_steps": num_steps}
        return as_levels(generate(model, params, named_key(key, "sample"), n, codes, **settings))

    def codes_of(w: Any, n: int) -> Float[np.ndarray, "n d"] | None:
        if w is None:
            return None
        if model.code is None:
            raise UserError("w was given, but the model is unconditional: there is no code")
        w = np.asarray(w, np.float32)
        if w.shape not in ((model.code.w_dim,), (n, model.code.w_dim)):
            raise UserError(f"w has shape {list(w.shape)}; expected [{model.code.w_dim}] or [{n}, {model.code.w_dim}]")
        return np.broadcast_to(w, (n, model.code.w_dim))

    def as_levels(found: ArrayLike) -> Levels:
        return np.asarray(found).astype(data.test.levels.dtype)

    def reconstruct(
        key: Key[Array, ""],
        x: ArrayLike,
        *,
        t: float = 1.0,
        sampler: str = defaults["sampler"],
        num_steps: int = defaults["num_steps"],
    ) -> Levels:
        """Each x [B, H, W, C] noised to time t in (0, 1] and sampled back, as levels.

        A model with a code reads w = the mean of q(w | x); with t = 1 the code alone is left of x, up to the little
        that noise leaves. t is rounded to the nearest of the `num_steps` + 1 times of the sampler.
        """
        if not 0 < t <= 1:
            raise UserError(f"t={t}; expected a time above 0 and at most 1")
        x = to_pixels(x, data)
        w = None if model.code is None else encode_at(params, x)[0]
        return as_levels(run_back(params, key, x, w, jnp.float32(t), sampler, num_steps))

    @partial(jax.jit, static_argnums=(5, 6))
    def run_back(params, key, x, w, t, sampler, num_steps):
        schedule = model.schedule(params)
        times = make_times(schedule, num_steps, defaults["grid"])
        first = jnp.argmin(jnp.abs(times[:-1] - t))
        z = noised(x, jax.random.normal(named_key(key, "eps"), x.shape), schedule.gamma(times[first]))
        denoise, x_range = model.denoise(params, w), model.x_range if defaults["clip"] else None
        z_0 = sample(key, denoise, schedule, z, times, sampler, x_range=x_range, first=first)
        return model.likelihood.decode(z_0, schedule.gamma(times[-1]))

    def interpolate(
        x_a: ArrayLike,
        x_b: ArrayLike,
        n: int,
        *,
        key: Key[Array, ""] | None = None,
        num_steps: int = defaults["num_steps"],
    ) -> Levels:
        """n images along the straight line between the mean codes of two images [H, W, C], as levels.

        All start from the same noise (of `key`) and follow DDIM, so that the code alone makes the difference.
        """
        if n < 1:
            raise UserError(f"n={n}; expected at least 1")
        mean, _ = encode(jnp.stack([jnp.asarray(x_a), jnp.asarray(x_b)]))
        w = np.linspace(mean[0], mean[1], n, dtype=np.float32)
        return as_levels(from_one_noise(params, jax.random.key(0) if key is None else key, jnp.asarray(w), num_steps))

    @partial(jax.jit, static_argnums=3)
    def from_one_noise(params, key, w, num_steps):
        schedule = model.schedule(params)
        times = make_times(schedule, num_steps, defaults["grid"])
        z_1 = jax.random.normal(named_key(key, "z_1"), (1, *model.shape))
        z_1 = jnp.broadcast_to(z_1, (len(w), *model.shape))
        x_range = model.x_range if defaults["clip"] else None
        z_0 = sample(key, model.denoise(params, w), schedule, z_1, times, "ddim", x_range=x_range)
        return model.likelihood.decode(z_0, schedule.gamma(times[-1]))

    def bound(key: Key[Array, ""], x: ArrayLike, *, passes: int = 1) -> Terms:
        """The bound on -log p(x) of each image, four arrays [B] in nats whose sum it is, averaged over `passes` draws.

        Terms(reconstruction, prior, diffusion, encoder_kl); encoder_kl is 0 without a code. Raises `UserError` where
        no bound is defined (Dirac schedule).
        """
        if model.no_bound:
            raise UserError(model.no_bound)
        images = {"levels": to_levels(x, data)}
        if model.code is not None:
            images["mu"], images["logvar"] = encode_all(model, params, images["levels"], batch_size)
        found = evaluate_bound(model.terms, params, images, passes=passes, batch_size=batch_size, key=key).per_image
        terms = [found[name].astype(np.float32) for name in ("reconstruction", "prior", "diffusion")]
        return Terms(*terms, found["rate"].astype(np.float32) if "rate" in found else np.zeros_like(terms[0]))

    def denoise(
        z: ArrayLike,
        t: ArrayLike,
        w: ArrayLike | None = None,
    ) -> Prediction:
        """Prediction(x, eps): E[x | z_t, w] and E[eps | z_t, w], [B, H, W, C] each, as the network has them.

        t: in [0, 1], one for all or one each. w: [w_dim] or [B, w_dim]; without it a model with a code reads w = 0.
        """
        z = jnp.asarray(z, jnp.float32)
        if z.shape[1:] != model.shape:
            raise UserError(f"z has shape {list(z.shape)}; expected [B, {', '.join(map(str, model.shape))}]")
        times = jnp.broadcast_to(jnp.asarray(t, jnp.float32), (len(z),))
        return denoise_at(params, z, times, codes_of(w, len(z)))

    @jax.jit
    def denoise_at(params, z, t, w):
        return model.denoise(params, w)(z, t)

    functions = {"sample": sample_images, "reconstruct": reconstruct, "bound": bound, "denoise": denoise}
    return functions | ({} if model.code is None else {"encode": encode, "interpolate": interpolate})


def to_pixels(x: Any, data: Dataset) -> Float[Array, "b h w c"]:
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


def to_levels(x: Any, data: Dataset) -> Levels:
    """Images as levels on the host; the model's pixels are rounded to the nearest level. Checked as in `to_pixels`."""
    pixels = np.asarray(to_pixels(x, data))
    if np.issubdtype(np.asarray(x).dtype, np.integer):
        return np.asarray(x)
    return np.abs(pixels[..., None] - data.pixel_values).argmin(axis=-1).astype(data.test.levels.dtype)
