"""The job properties: what is known of a degradation D without any training.

properties.json has "identity", the RMS of D(x, 0) - x; "linearity", that of D((x + y)/2, t) - (D(x, t) + D(y, t))/2;
"composition", how far D(D(x, s), u) is from D(x, t) for the best u; "by_time", curves over "times". RMS are a pixel,
of pixels in [0, 1].
"""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vdm_jax.base.files import write_json
from vdm_jax.base.provenance import provenance
from vdm_jax.evals.batches import map_batches
from vdm_jax.experiments.degradation.build import RestorationExperiment
from vdm_jax.launch.settings import plain

RECORD = "properties.json"
SAME = 1e-3  # RMS, of pixels in [0, 1], below which two degraded images are the same
FINE = 41  # times u among which that of a composition is searched, twice
COMPOSED = 50  # images
MOST = 1_000  # images that are compared with each other
Images = Float[np.ndarray, "n h w c"]
At = Callable[[Images, float], Images]


def properties(experiment: RestorationExperiment, workdir: pathlib.Path) -> str:
    """Writes `properties.json`; returns "done"."""
    config, data, model = experiment.config, experiment.data, experiment.model
    x = data.pixel_values[data.test.first(config.evaluate.num_images).levels]
    degrade = jax.jit(model.process.degrade)

    def at(images: Images, t: float) -> Images:
        return map_batches(
            lambda batch: degrade(batch, jnp.full(len(batch), t, jnp.float32)), images, config.evaluate.batch_size
        )

    low, high = model.x_range
    found = measure_degradation(at, x, np.linspace(0, 1, config.evaluate.num_times + 1), high - low)
    origin = {"config": config.name, "data": data.fingerprint}
    record = found | {"num_images": len(x), "settings": plain(config), "provenance": provenance() | origin}
    write_json(workdir / RECORD, record)
    return "done"


def measure_degradation(at: At, x: Images, times: Float[np.ndarray, " m"], unit: float) -> dict[str, Any]:
    """The numbers of the record. at: D(images, t). unit: the difference of the largest and the smallest pixel value.

    by_time: "lost", the RMS of D(x, t) - x; "variance", that of D(x, t) over images as a share of that of x;
    "distinct", the share of images from whose degradation all others differ; "own_displacement", the share of
    D(x, t) - x that depends on x: 0 where improved sampling is exact whatever R says.
    """
    degraded = [at(x, float(t)) for t in times]
    half, linearity = len(x) // 2, []
    a, b = x[:half], x[half : 2 * half]
    for t, each in zip(times, degraded, strict=True):
        middle = (each[:half] + each[half : 2 * half]) / 2
        linearity.append(_rms(at((a + b) / 2, float(t)) - middle) / unit)
    total = float(x.var(axis=0).sum())
    by_time = {
        "lost": [_rms(each - x) / unit for each in degraded],
        "variance": [float(each.var(axis=0).sum()) / total if total else 0.0 for each in degraded],
        "distinct": [distinct_share(each[:MOST], SAME * unit) for each in degraded],
        "own_displacement": [_own_share(each - x) for each in degraded],
    }
    return {
        "times": np.asarray(times, float).tolist(),
        "identity": _rms(at(x, 0.0) - x) / unit,
        "linearity": max(linearity),
        "composition": composition(at, x[:COMPOSED], times),
        "by_time": by_time,
    }


def composition(at: At, x: Images, times: Float[np.ndarray, " m"]) -> dict[str, Any]:
    """How far degradations compose: min over u of the RMS of D(D(x, s), u) - D(x, t), as a share of that of D(x, t) - x
    for s < t. The mean over all pairs, the largest, and the pair it is of. u is the best of `FINE` times, then of as
    many about it, so that an exact law shows a remainder of their spacing, 2/(FINE - 1)²."""
    ends = {float(t): at(x, float(t)) for t in times[1:]}
    coarse, shares = np.linspace(0, 1, FINE), {}
    for s in list(ends)[:-1]:
        again = [at(ends[s], float(u)) for u in coarse]
        for t, end in ends.items():
            if t > s and (size := _rms(end - x)):
                best = coarse[int(np.argmin([_rms(each - end) for each in again]))]
                near = np.clip(best + np.linspace(-1, 1, FINE) * coarse[1], 0, 1)
                shares[s, t] = min(_rms(at(ends[s], float(u)) - end) for u in near) / size
    if not shares:
        return {"mean": 0.0, "worst": 0.0, "worst_pair": None}
    worst = max(shares, key=shares.get)
    return {"mean": float(np.mean(list(shares.values()))), "worst": shares[worst], "worst_pair": list(worst)}


def distinct_share(images: Images, same: float) -> float:
    """The share of images from which every other image differs by an RMS of more than `same`."""
    rows = images.reshape(len(images), -1).astype(np.float64)
    rows = rows - rows.mean(axis=0)
    squares = (rows**2).sum(axis=1)
    distance = (squares[:, None] + squares - 2 * rows @ rows.T) / rows.shape[1]
    np.fill_diagonal(distance, np.inf)
    return float((distance.min(axis=1) > same**2).mean())


def _own_share(displacement: Images) -> float:
    total = float((displacement**2).mean())
    return float(displacement.var(axis=0).mean()) / total if total > 0 else 0.0


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
