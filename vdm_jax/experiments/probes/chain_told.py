"""Experiment 3: noised data told from z_t of chains, by trained probes and by classifiers of a few numbers."""

import pathlib
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.progress import bar
from vdm_jax.base.sklearn import import_sklearn
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.experiments.probes.build import ProbeExperiment
from vdm_jax.experiments.probes.chain_pools import Pool
from vdm_jax.experiments.probes.chain_posterior import posterior_statistics
from vdm_jax.experiments.probes.chain_training import Rows, train_on_rows
from vdm_jax.experiments.probes.training import PROBE
from vdm_jax.probing.chain_distances import distance_from_chance
from vdm_jax.probing.chunks import Arrays, run_in_chunks
from vdm_jax.probing.nets import OF_CHOSEN_WIDTHS
from vdm_jax.probing.two_samples import FEWEST_FOR_TREES, Told, statistics, tell_apart, tell_apart_by_trees

LOOKS = 8  # at validation: who begins from nothing is given time
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
    sees in z_t besides. folder: keeps the probes in one of its own, named by their settings."""
    config, number = told_settings(experiment.config), pool.z.shape[1]
    both = Rows(*(np.concatenate([part, number + part]) for part in rows))
    random = np.random.RandomState(0)  # so that batches of rows in order hold both
    both = both._replace(test=random.permutation(both.test))
    labels = {TOLD: np.repeat([0, 1], number).astype(np.int32)}
    features = {TOLD: Feature(np.array([0.5, 0.5]))}
    levels = {"gamma": gammas, "z": np.concatenate([pool.real, pool.z], axis=1)}
    _, arrays = train_on_rows(
        config, experiment.grid, features, labels, levels, asked, both, folder / name_of_probes(experiment.config)
    )
    num_scored = len(both.test) // config.batch_size * config.batch_size
    accuracy, error = (arrays[f"{PROBE}/{TOLD}/accuracy{end}"].tolist() for end in ("", "_standard_error"))
    by_numbers = tell_by_numbers(experiment, pool, asked, gammas, folder)
    return {"probe": _told(accuracy, error, num_scored)} | {
        name: _told([each.accuracy for each in told], [each.standard_error for each in told], number)
        for name, told in by_numbers.items()
    }


def tell_by_numbers(
    experiment: ProbeExperiment, pool: Pool, asked: np.ndarray, gammas: Float[np.ndarray, " m"], folder: pathlib.Path
) -> dict[str, list[Told]]:
    """{"statistics", "posterior"}: at each timestep, by classifiers fitted to half of all chains. Without the latter
    where the chains are too few for trees, or scikit-learn is missing. folder: keeps what the posterior sees."""
    plain, pairs = jax.jit(statistics), zip(pool.real, pool.z, strict=True)
    found = {"statistics": [tell_apart(*map(np.asarray, map(plain, pair))) for pair in pairs]}
    if (lacking := why_no_trees(pool.z.shape[1])) is not None:
        print(f"chain_probes: real or generated: {lacking}", flush=True)
        return found
    size = experiment.config.chain_probes.batch_size
    knowing = jax.jit(partial(posterior_statistics, experiment.posterior))

    def seen(z: Float[np.ndarray, "n h w 1"], gamma: np.float32) -> Float[np.ndarray, "n k"]:
        starts = bar("real or generated")(range(0, len(z), size))
        return np.concatenate([knowing(z[i : i + size], jnp.float32(gamma)) for i in starts])

    def run(index: np.ndarray, _: np.ndarray) -> Arrays:
        (m,) = index
        return {"real": seen(pool.real[m], gammas[m])[None], "generated": seen(pool.z[m], gammas[m])[None]}

    numbers = run_in_chunks(run, asked, 1, folder / "seen")
    pairs = zip(numbers["real"], numbers["generated"], strict=True)
    return found | {"posterior": [tell_apart_by_trees(*pair) for pair in pairs]}


def why_no_trees(num_chains: int) -> str | None:
    """None where there is nothing against them."""
    if num_chains < FEWEST_FOR_TREES:
        return f"{num_chains} chains are too few for boosted trees, which take {FEWEST_FOR_TREES}"
    try:
        import_sklearn("ensemble", "a classifier of boosted trees")
    except UserError as error:
        return str(error)
    return None


def told_settings(config: ConfigDict) -> ConfigDict:
    """Of the probes that tell real from generated: those of `probe` with the net of `chain_probes`, each timestep's
    from nothing, looked at `LOOKS` times at most."""
    own, settings = config.chain_probes, ConfigDict(config.probe)
    changes = {"net": own.told_net, "hidden": tuple(own.told_hidden), "num_updates": own.told_updates}
    changes |= {"updates_per_round": -(-own.told_updates // LOOKS), "learning_rate": own.told_learning_rate}
    changes |= {"warm_start": False, "members": "trunk"}
    settings.update(changes)
    return settings


def name_of_probes(config: ConfigDict) -> str:
    """Their net, its widths if it has any to choose, their updates and rate."""
    own = config.chain_probes
    widths = own.told_hidden if own.told_net in OF_CHOSEN_WIDTHS else ()
    return "-".join(map(str, (own.told_net, *widths, own.told_updates, own.told_learning_rate)))


def _told(accuracy: list[float], error: list[float], num_scored: int) -> dict[str, Any]:
    distance = distance_from_chance(accuracy, num_scored)
    return {"accuracy": accuracy, "standard_error": error, "distance": distance}
