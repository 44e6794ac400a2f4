"""How well R undoes D on test images: by time in one evaluation, and from D(x, 1) in chains of N steps."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.keys import keys_of, named_key, normal
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.statistics import mean_and_error
from vdm_jax.diffusion.degradation.chains import even_times, improved
from vdm_jax.evals.batches import map_batches
from vdm_jax.models.degradation import RestorationModel

Images = Float[np.ndarray, "n h w c"]
METHODS = ("naive", "improved")


def restoration_by_time(
    model: RestorationModel,
    params: PyTree,
    x: Images,
    mean: Float[np.ndarray, "h w c"],
    key: Key[Array, ""],
    *,
    num_times: int,
    batch_size: int,
    progress: Callable[[range], Iterable[int]] = iter,
) -> dict[str, Any]:
    """Mean RMS a pixel of an image, of pixels in [0, 1], at times k/T: {name: [M], NAME_standard_error: [M]}.

    "restored" R - x; "degraded" z_t - x, and "mean_image" m - x, what R is to beat; "consistency" D(R, t) - D(x, t);
    "idempotence" R(D(R, t)) - R, with the same noise; "naive_step" and "improved_step", z_s - D(x, s) without the noise
    of z_s, after one step of 1/T.
    """
    chain, unit = model.num_steps, model.x_range[1] - model.x_range[0]
    places = np.unique(np.round(np.linspace(1, chain, num_times)).astype(int))
    found: dict[str, list] = {}
    for i in progress(range(len(places))):
        t, s = places[i] / chain, (places[i] - 1) / chain
        kappa = improved(s, t, model.process.noise)[0]
        inputs = tuple(jnp.float32(value) for value in (t, s, kappa))

        def batch(index, inputs=inputs, i=i):
            keys = keys_of(jax.random.fold_in(named_key(key, "restoration"), i), jnp.asarray(index))
            return _errors(model, params, keys, across_devices(x[index]), *inputs)

        for name, values in map_batches(batch, np.arange(len(x)), batch_size).items():
            found.setdefault(name, []).append(values / unit)
    off = np.sqrt(np.mean((x - mean) ** 2, axis=(1, 2, 3))) / unit
    record: dict[str, Any] = {"times": (places / chain).tolist(), "mean_image": float(off.mean())}
    for name, values in found.items():
        estimate = mean_and_error(np.stack(values, axis=1), "images")
        record |= {name: estimate.mean.tolist(), f"{name}_standard_error": estimate.error.tolist()}
    return record


def restoration_by_steps(
    model: RestorationModel,
    params: PyTree,
    x: Images,
    key: Key[Array, ""],
    *,
    numbers: Sequence[int],
    batch_size: int,
    progress: Callable[[range], Iterable[int]] = iter,
) -> dict[str, Any]:
    """The RMS to x of chains from z_1 of each image: {"steps": [M], METHOD: [M], METHOD_standard_error}."""
    unit, record = model.x_range[1] - model.x_range[0], {"steps": list(numbers)}
    draw = jax.jit(model.process.draw)
    every = [(method, number) for method in METHODS for number in numbers]
    for i in progress(range(len(every))):
        method, number = every[i]

        def batch(index, method=method, number=number):
            keys = keys_of(named_key(key, "chains"), jnp.asarray(index))
            images = across_devices(x[index])
            z = draw(named_key(keys, "start"), images, jnp.ones(len(index)))
            z, _ = model.run_back(params, keys, z, even_times(number, model.num_steps), method)
            return _rms(z - images)

        values = map_batches(batch, np.arange(len(x)), batch_size) / unit
        estimate = mean_and_error(values, "images")
        record.setdefault(method, []).append(float(estimate.mean))
        record.setdefault(f"{method}_standard_error", []).append(float(estimate.error))
    return record


@partial(jax.jit, static_argnums=0)
def _errors(
    model: RestorationModel,
    params: PyTree,
    keys: Key[Array, " b"],
    x: Float[Array, "b h w c"],
    t: Float[Array, ""],
    s: Float[Array, ""],
    kappa: Float[Array, ""],
) -> dict[str, Float[Array, " b"]]:
    process, restore = model.process, model.restore(params)
    before, after = jnp.full(len(x), t), jnp.full(len(x), s)
    eps = normal(named_key(keys, "eps"), x.shape) if process.noise else jnp.zeros_like(x)
    clean = process.degrade(x, before)
    z = clean + process.sigma(t) * eps
    x_hat = jnp.clip(restore(z, before), *model.x_range)
    again, next_hat = process.degrade(x_hat, before), process.degrade(x_hat, after)
    target = process.degrade(x, after)
    found = {
        "restored": x_hat - x,
        "degraded": z - x,
        "consistency": again - clean,
        "idempotence": jnp.clip(restore(again + process.sigma(t) * eps, before), *model.x_range) - x_hat,
        "naive_step": next_hat - target,
        "improved_step": kappa * (z - again) + next_hat - target - process.sigma(s) * eps,
    }
    return {name: _rms(values) for name, values in found.items()}


def _rms(values: Float[Array, "b h w c"]) -> Float[Array, " b"]:
    return jnp.sqrt((values**2).mean((1, 2, 3)))
