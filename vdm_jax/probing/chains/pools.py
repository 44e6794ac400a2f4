"""z_t of chains at the queried timesteps, to train probes on: all from one pass, batch by batch on disk."""

import pathlib
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Key

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_npz
from vdm_jax.base.keys import named_key
from vdm_jax.base.program import Program
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.probing.chains.process import Grid, Readers, ReverseProcess, make_generated, make_noised
from vdm_jax.probing.chunks import Results, flatten, unflatten
from vdm_jax.probing.population import Access, Population

LABEL = "label"  # of the chains' ends, in a batch's file


class Pool(NamedTuple):
    """N chains at M timesteps, and as many noised members."""

    z: Float32[np.ndarray, "m n ..."]  # of the chains
    real: Float32[np.ndarray, "m n ..."]
    labels: dict[str, Int[np.ndarray, " n"]]  # of the chains' ends, by feature
    distance: Float[np.ndarray, " n"]  # of the ends from the nearest member
    num_steps: int  # of a chain


def make_pool(
    population: Population,
    readers: Readers,
    process: ReverseProcess,
    schedule: Schedule,
    grid: Grid,
    num_chains: int,
    batch_size: int,
    folder: pathlib.Path,
    *,
    key: Key[Array, ""],
    progress: Callable[[range], Iterable[int]] = iter,
) -> Pool:
    """Whole batches of chains, at least `num_chains`; batches stored in `folder` are not run again.

    readers: the first of them reads the ends. The noised members are drawn anew, always the same.
    """
    reader = next(iter(readers))
    generate = Program(make_generated(population, grid), process, readers, static_argnums=(1,))
    noise = Program(make_noised(population, schedule, grid), population.access, static_argnums=(1,))
    distance = Program(Access.distance, population.access)
    parts = []
    for batch in progress(range(-(-num_chains // batch_size))):
        path = folder / f"batch-{batch:05d}.npz"
        if not path.exists():
            z, ends, read = generate(jax.random.fold_in(named_key(key, "generated"), batch), batch_size)
            write_npz(path, flatten({"z": z, "distance": distance(ends), LABEL: read[reader]}))
        real, _ = noise(jax.random.fold_in(named_key(key, "real"), batch), batch_size)
        parts.append(_load(path) | {"real": np.asarray(real)})
    whole: dict[str, Any] = jax.tree.map(lambda *a: np.concatenate(a, axis=min(a[0].ndim - 1, 1)), *parts)
    return Pool(whole["z"], whole["real"], whole[LABEL], whole["distance"], len(grid.steps) - 1)


def _load(path: pathlib.Path) -> Results:
    try:
        with np.load(path) as file:
            return unflatten(dict(file))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it to run its chains again") from error
