"""The exact posterior of noised data evaluated on z_t of chains, and the gap of trained probes to it, row by row."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from vdm_jax.base.program import Program
from vdm_jax.base.progress import bar
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.posterior import Feature, Posterior
from vdm_jax.probing.chains.pools import Pool
from vdm_jax.probing.chains.process import judge
from vdm_jax.probing.chains.two_samples import statistics

RowScores = dict[str, Float[np.ndarray, "m 1 1 r"]]  # of each row at each timestep


def posterior_scores(
    posterior: Posterior,
    features: Mapping[str, Feature],
    pool: Pool,
    gammas: Float[np.ndarray, " m"],
    rows: Integer[np.ndarray, " r"],
    batch_size: int,
) -> dict[str, RowScores]:
    """The posterior by feature, compared with the labels of these chains' ends, scored as a probe is."""

    def compare(classes, z, gamma, labels):
        return {name: judge(features[name], p, labels[name]) for name, p in classes(z, gamma).items()}

    guess = Program(compare, posterior.classes)
    batches = np.array_split(rows, max(1, len(rows) // batch_size))
    guesses = []
    for m in bar("posterior of the chains")(range(len(gammas))):
        z, gamma = pool.z[m], gammas[m]
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


def gaps_of_rows(
    posterior: RowScores, probe: Mapping[str, Float[np.ndarray, "m s r"]]
) -> dict[str, Float[np.ndarray, "m 1 s r"]]:
    """The posterior's score of each row and seed less the probe's: `accuracy_missed`, `information_nats_missed` and, of
    values, `r2_missed`, the difference of squared errors as a part of the rows' own variance."""
    behind = {key: posterior[key] - values[:, None] for key, values in probe.items() if key in posterior}
    found = {}
    if "accuracy" in behind:
        found = {"accuracy_missed": behind["accuracy"], "information_nats_missed": -behind["cross_entropy"]}
    if "mse" in behind:
        found["r2_missed"] = -behind["mse"] / posterior["spread"].mean()
    return found


def posterior_statistics(
    posterior: Posterior, z: Float[Array, "q ..."], gamma: Float[Array, ""]
) -> Float[Array, "q k"]:
    """The `statistics` of each z_t; its root mean square distance from alpha E[x | z_t]; the mean square of E[x | z_t];
    and p(c | z_t) of every feature, under the exact posterior of noised data."""
    x_hat = posterior.mean(z, gamma)
    away = z - alpha_sigma(gamma)[0] * x_hat
    axes = tuple(range(1, z.ndim))
    found = [jnp.sqrt(jnp.mean(away**2, axis=axes)), jnp.mean(x_hat**2, axis=axes)]
    of_classes = posterior.classes(z, gamma).values()
    return jnp.concatenate([statistics(z), jnp.stack(found, axis=1), *of_classes], axis=1)
