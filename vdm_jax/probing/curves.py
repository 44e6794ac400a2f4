"""From the scores of trained probes to curves over timesteps with their errors, beside the exact ones."""

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vdm_jax.diffusion.optimal import Feature
from vdm_jax.probing.windows import crossing_times

Curves = dict[str, list[float]]


def summarise_scores(
    feature: Feature, scores: Mapping[str, Float[np.ndarray, "m n s b"] | Float[jnp.ndarray, "m n s b"]]
) -> dict[str, Float[np.ndarray, " m"]]:
    """Means over seeds and examples, and their standard errors as NAME_standard_error: [M] each.

    scores: of examples [M, batches, seeds, B]. Beside what is there, `information_nats` = H - cross-entropy and
    `r2` = 1 - mse/spread, spread the variance of the very examples scored: on a small test split theirs is not the
    whole data's (its error by the ratio's linear part). The error has two parts: of the examples, which the seeds
    share, and, where there are several, of the seeds.
    """
    curves = {name: np.asarray(values, np.float64) for name, values in scores.items()}
    if "cross_entropy" in curves:
        curves["information_nats"] = feature.entropy - curves["cross_entropy"]
    if "spread" in curves:
        spread = curves.pop("spread")
        share = (curves["mse"].mean((1, 2, 3)) / spread.mean((1, 2, 3)))[:, None, None, None]
        own = spread.mean((1, 2, 3))[:, None, None, None]
        curves["r2"] = 1 - share - (curves["mse"] - share * spread) / own
    found = {}
    for name, values in curves.items():
        by_example = values.mean(axis=2).reshape(len(values), -1)
        by_seed = values.mean(axis=(1, 3))
        variance = by_example.var(axis=1, ddof=1) / by_example.shape[1]
        if by_seed.shape[1] > 1:
            variance = variance + by_seed.var(axis=1, ddof=1) / by_seed.shape[1]
        found[name] = by_seed.mean(axis=1)
        found[f"{name}_standard_error"] = np.sqrt(variance)
    return found


def probe_windows(feature: Feature, timesteps: np.ndarray, curves: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    """When 95%, 50% and 5% of what there is to know is still found: R² of a feature with values, else information/H."""
    share = np.asarray(curves["r2"]) if "r2" in curves else np.asarray(curves["information_nats"]) / feature.entropy
    return {f"{level:.0%}": time for level, time in crossing_times(timesteps.astype(float), share).items()}


def compare(probe: Mapping[str, Any], exact: Mapping[str, Any], shortfall: float) -> dict[str, Any]:
    """What the probe misses: `exact_minus_probe` {score: [M]} with its standard errors, for what both have.

    `falls_short`: [M], whether accuracy or R² is more than `shortfall` below the exact one: the probe is not to be
    trusted there.
    """
    gaps: dict[str, list[float]] = {}
    for name in ("accuracy", "r2", "information_nats"):
        if name in probe and name in exact:
            gaps[name] = (np.asarray(exact[name]) - np.asarray(probe[name])).tolist()
            errors = zip(exact[f"{name}_standard_error"], probe[f"{name}_standard_error"], strict=True)
            gaps[f"{name}_standard_error"] = [math.hypot(*pair) for pair in errors]
    judged = np.array(gaps.get("r2", gaps.get("accuracy")))
    return {"exact_minus_probe": gaps, "falls_short": (judged > shortfall).tolist()}
