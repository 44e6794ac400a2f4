"""Noised data against z_t of chains: classifiers of a few numbers of z_t, and how trained probes are set up for it."""

import pathlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from vdm_jax.base.errors import UserError
from vdm_jax.base.program import Program
from vdm_jax.base.sklearn import import_sklearn
from vdm_jax.diffusion.posterior import Feature, Posterior
from vdm_jax.probing.chains.distances import distance_from_chance
from vdm_jax.probing.chains.pools import Pool
from vdm_jax.probing.chains.posterior import posterior_statistics
from vdm_jax.probing.chains.training import RowSplit
from vdm_jax.probing.chains.two_samples import FEWEST_FOR_TREES, Separation, separate, separate_by_trees, statistics
from vdm_jax.probing.chunks import Results, run_in_chunks

GENERATED = "generated"  # the feature of z_t: 0 for noised data, 1 for the chain
FEATURES = {GENERATED: Feature(np.array([0.5, 0.5]))}


def both_kinds(
    pool: Pool, rows: RowSplit
) -> tuple[Float[np.ndarray, "m n2 ..."], dict[str, Int[np.ndarray, " n2"]], RowSplit]:
    """(z, labels, rows): noised data, then the chains, with their label; rows of both.

    The rows to test on are shuffled, so that batches of rows in order hold both.
    """
    number = pool.z.shape[1]
    both = RowSplit(*(np.concatenate([part, number + part]) for part in rows))
    both = both._replace(test=np.random.RandomState(0).permutation(both.test))
    labels = {GENERATED: np.repeat([0, 1], number).astype(np.int32)}
    return np.concatenate([pool.real, pool.z], axis=1), labels, both


def separate_by_numbers(
    posterior: Posterior,
    pool: Pool,
    queried: np.ndarray,
    gammas: Float[np.ndarray, " m"],
    folder: pathlib.Path,
    batch_size: int,
    *,
    say: Callable[[str], None],
    progress: Callable[[range], Iterable[int]] = iter,
) -> dict[str, list[Separation]]:
    """{"statistics", "posterior"}: at each timestep, by classifiers fitted to half of all chains.

    "statistics": a linear classifier of a few statistics. "posterior": boosted trees that also get numbers of the exact
    posterior; absent where the chains are too few for trees or scikit-learn is missing. folder: keeps these numbers.
    """
    plain, pairs = jax.jit(statistics), zip(pool.real, pool.z, strict=True)
    found = {"statistics": [separate(*map(np.asarray, map(plain, pair))) for pair in pairs]}
    if (reason := why_no_trees(pool.z.shape[1])) is not None:
        say(f"real or generated: {reason}")
        return found
    numbers_of = Program(posterior_statistics, posterior)

    def batched(z: Float[np.ndarray, "n ..."], gamma: np.float32) -> Float[np.ndarray, "n k"]:
        starts = progress(range(0, len(z), batch_size))
        return np.concatenate([numbers_of(z[i : i + batch_size], jnp.float32(gamma)) for i in starts])

    def run(index: np.ndarray, _: np.ndarray) -> Results:
        (m,) = index
        return {"real": batched(pool.real[m], gammas[m])[None], "generated": batched(pool.z[m], gammas[m])[None]}

    numbers = run_in_chunks(run, queried, 1, folder)
    each = progress(range(len(queried)))
    return found | {"posterior": [separate_by_trees(numbers["real"][m], numbers["generated"][m]) for m in each]}


def why_no_trees(num_chains: int) -> str | None:
    """The reason against boosted trees, or None."""
    if num_chains < FEWEST_FOR_TREES:
        return f"{num_chains} chains are too few for boosted trees, which take {FEWEST_FOR_TREES}"
    try:
        import_sklearn("ensemble", "a classifier of boosted trees")
    except UserError as error:
        return str(error)
    return None


def describe_separation(accuracy: list[float], error: list[float], num_scored: int) -> dict[str, Any]:
    """{"accuracy", "standard_error", "distance" from one half} over the timesteps."""
    return {"accuracy": accuracy, "standard_error": error, "distance": distance_from_chance(accuracy, num_scored)}


def describe_by_numbers(found: dict[str, list[Separation]], num_scored: int) -> dict[str, dict[str, Any]]:
    """`describe_separation` of each classifier of `separate_by_numbers`."""
    describe = partial(describe_separation, num_scored=num_scored)
    return {
        name: describe([each.accuracy for each in own], [each.standard_error for each in own])
        for name, own in found.items()
    }
