"""The exact posterior of noised data shown z_t of chains, and what trained probes miss of it, row by row."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from vdm_jax.data.sprite_posterior import SpritePosterior
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.experiments.probes.build import ProbeExperiment
from vdm_jax.experiments.probes.chain_pools import Pool
from vdm_jax.probing.chains import judge
from vdm_jax.probing.two_samples import statistics

RowScores = dict[str, Float[np.ndarray, "m 1 1 r"]]  # of each row at each timestep


def posterior_scores(
    experiment: ProbeExperiment,
    features: Mapping[str, Feature],
    pool: Pool,
    gammas: Float[np.ndarray, " m"],
    rows: Integer[np.ndarray, " r"],
) -> dict[str, RowScores]:
    """By feature, what the posterior says of the ends of these chains, scored as a probe is."""
    guess = jax.jit(
        lambda z, gamma, labels: {
            name: judge(features[name], p, labels[name]) for name, p in experiment.posterior.classes(z, gamma).items()
        }
    )
    size = experiment.config.chain_probes.batch_size
    batches = np.array_split(rows, max(1, len(rows) // size))
    guesses = []
    for z, gamma in zip(pool.z, gammas, strict=True):
        parts = [
            jax.device_get(guess(z[b], jnp.float32(gamma), {n: label[b] for n, label in pool.labels.items()}))
            for b in batches
        ]
        guesses.append(jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts))
    found = {}
    for name, feature in features.items():
        each = jax.tree.map(lambda *arrays: np.stack(arrays)[:, None, None], *(at[name] for at in guesses))
        found[name] = {"accuracy": each.right.astype(np.float32), "cross_entropy": each.cross_entropy}
        if feature.values is not None:
            spread = ((feature.values - feature.prior @ feature.values) ** 2).sum(1)[pool.labels[name][rows]]
            found[name] |= {"mse": each.squared_error, "spread": np.broadcast_to(spread, each.squared_error.shape)}
    return found


def missed(
    posterior: RowScores, probe: Mapping[str, Float[np.ndarray, "m s r"]]
) -> dict[str, Float[np.ndarray, "m 1 s r"]]:
    """Of each row and seed, by how much the probe is behind the posterior: `accuracy_missed`, `information_nats_missed`
    and, of values, `r2_missed`, their squared errors' difference as a part of the rows' own variance."""
    behind = {key: posterior[key] - values[:, None] for key, values in probe.items() if key in posterior}
    found = {}
    if "accuracy" in behind:
        found = {"accuracy_missed": behind["accuracy"], "information_nats_missed": -behind["cross_entropy"]}
    if "mse" in behind:
        found["r2_missed"] = -behind["mse"] / posterior["spread"].mean()
    return found


def posterior_statistics(
    posterior: SpritePosterior, z: Float[Array, "q h w 1"], gamma: Float[Array, ""]
) -> Float[Array, "q k"]:
    """Of each z_t `statistics`, and what the exact posterior of noised data sees in it: how far it is from
    alpha E[x | z_t], root mean square a pixel; how sure E[x | z_t] is, its mean square; p(c | z_t) of every feature."""
    x_hat = posterior.mean(z, gamma)
    away = z - alpha_sigma(gamma)[0] * x_hat
    found = [jnp.sqrt(jnp.mean(away**2, axis=(1, 2, 3))), jnp.mean(x_hat**2, axis=(1, 2, 3))]
    of_classes = posterior.classes(z, gamma).values()
    return jnp.concatenate([statistics(z), jnp.stack(found, axis=1), *of_classes], axis=1)
