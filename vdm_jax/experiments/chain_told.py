"""Experiment 3: noised data told from z_t of chains, by trained probes and by classifiers of a few numbers."""

import pathlib
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from vdm_jax.diffusion.optimal import Feature
from vdm_jax.experiments.chain_pools import Pool
from vdm_jax.experiments.chain_posterior import posterior_statistics
from vdm_jax.experiments.chain_training import Rows, train_on_rows
from vdm_jax.experiments.probe import PROBE
from vdm_jax.experiments.probes import ProbeExperiment
from vdm_jax.experiments.progress import bar
from vdm_jax.probing.chain_distances import distance_from_chance
from vdm_jax.probing.two_samples import Told, statistics, tell_apart, tell_apart_by_trees

TOLD = "generated"  # what is asked of z_t: 0 of noised data, 1 of the chain


def tell_generated(
    experiment: ProbeExperiment,
    pool: Pool,
    asked: np.ndarray,
    gammas: Float[np.ndarray, " m"],
    rows: Rows,
    folder: pathlib.Path,
) -> dict[str, Any]:
    """{"probe" | "statistics" | "posterior": {"accuracy", "standard_error", "distance" from one half}}: told by trained
    probes, by a linear classifier of a few statistics, and by boosted trees that are shown what the exact posterior
    sees in z_t besides."""
    config, number = told_settings(experiment.config), pool.z.shape[1]
    both = Rows(*(np.concatenate([part, number + part]) for part in rows))
    random = np.random.RandomState(0)  # so that batches of rows in order hold both
    both = both._replace(test=random.permutation(both.test))
    labels = {TOLD: np.repeat([0, 1], number).astype(np.int32)}
    features = {TOLD: Feature(np.array([0.5, 0.5]))}
    levels = {"gamma": gammas, "z": np.concatenate([pool.real, pool.z], axis=1)}
    _, arrays = train_on_rows(config, experiment.grid, features, labels, levels, asked, both, folder)
    num_scored = len(both.test) // config.batch_size * config.batch_size
    accuracy, error = (arrays[f"{PROBE}/{TOLD}/accuracy{end}"].tolist() for end in ("", "_standard_error"))
    by_numbers = tell_by_numbers(experiment, pool, gammas)
    return {"probe": _told(accuracy, error, num_scored)} | {
        name: _told([each.accuracy for each in told], [each.standard_error for each in told], number)
        for name, told in by_numbers.items()
    }


def tell_by_numbers(experiment: ProbeExperiment, pool: Pool, gammas: Float[np.ndarray, " m"]) -> dict[str, list[Told]]:
    """{"statistics", "posterior"}: at each timestep, by classifiers fitted to half of all chains."""
    size = experiment.config.chain_probes.batch_size
    plain = jax.jit(statistics)
    knowing = jax.jit(partial(posterior_statistics, experiment.posterior))

    def numbers(z: Float[np.ndarray, "n h w 1"], gamma: np.float32) -> Float[np.ndarray, "n k"]:
        return np.concatenate([knowing(z[i : i + size], jnp.float32(gamma)) for i in range(0, len(z), size)])

    found = {"statistics": [], "posterior": []}
    for real, z, gamma in zip(pool.real, pool.z, bar("real or generated")(gammas), strict=True):
        found["statistics"].append(tell_apart(*map(np.asarray, map(plain, (real, z)))))
        found["posterior"].append(tell_apart_by_trees(numbers(real, gamma), numbers(z, gamma)))
    return found


def told_settings(config: ConfigDict) -> ConfigDict:
    """Of the probes that tell real from generated: those of `probe` with the net of `chain_probes`, each timestep's
    from nothing."""
    own, settings = config.chain_probes, ConfigDict(config.probe)
    changes = {"net": own.told_net, "hidden": tuple(own.told_hidden), "num_updates": own.told_updates}
    changes |= {"learning_rate": own.told_learning_rate, "warm_start": False, "members": "trunk"}
    settings.update(changes)
    return settings


def _told(accuracy: list[float], error: list[float], num_scored: int) -> dict[str, Any]:
    distance = distance_from_chance(accuracy, num_scored)
    return {"accuracy": accuracy, "standard_error": error, "distance": distance}
