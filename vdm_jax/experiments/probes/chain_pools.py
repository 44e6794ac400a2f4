"""Chains kept at every asked timestep, to train probes on: all timesteps from one pass, batch by batch on disk."""

import pathlib
import zipfile
import zlib
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Float32, Int

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_npz
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.evals.feature_reader import FeatureReader
from vdm_jax.experiments.probes.build import ChosenSampler, ProbeExperiment, chosen_readers
from vdm_jax.experiments.probes.chain_parts import make_subject, make_walk
from vdm_jax.probing.chains import make_generated_feed, make_grid, make_real_feed

LABEL = "label/"  # before a feature's name in a batch's file


class Pool(NamedTuple):
    """N chains at M timesteps, and as many noised data."""

    z: Float32[np.ndarray, "m n h w 1"]  # of the chains
    real: Float32[np.ndarray, "m n h w 1"]
    labels: dict[str, Int[np.ndarray, " n"]]  # of the chains' ends, by feature
    distance: Float[np.ndarray, " n"]  # of the ends from the data
    num_steps: int  # of a chain


def make_pool(
    experiment: ProbeExperiment,
    chosen: ChosenSampler,
    asked: np.ndarray,
    num_chains: int,
    folder: pathlib.Path,
    net: FeatureReader | None,
) -> Pool:
    """Whole batches of `config.chain_probes.batch_size` chains, at least `num_chains`; those that are in `folder` are
    not run again. The first of the readers reads the ends. Noised data are drawn anew, always the same."""
    config, schedule = experiment.config.chain_probes, experiment.schedule
    grid = make_grid(asked, chosen.num_steps, schedule)
    subject = make_subject(experiment, net)
    generate = jax.jit(
        make_generated_feed(subject, make_walk(experiment, chosen, grid), schedule, grid), static_argnums=1
    )
    distance = jax.jit(subject.distance)
    noise = jax.jit(make_real_feed(subject, schedule, grid), static_argnums=1)
    reader = chosen_readers(experiment.config.chains)[0]
    key, parts = jax.random.key(config.seed), []
    for batch in bar("chains")(range(-(-num_chains // config.batch_size))):
        path = folder / f"batch-{batch:05d}.npz"
        if not path.exists():
            z, ends, read = generate(jax.random.fold_in(named_key(key, "generated"), batch), config.batch_size)
            labels = {f"{LABEL}{name}": np.asarray(label) for name, label in read[reader].items()}
            write_npz(path, {"z": np.asarray(z), "distance": np.asarray(distance(ends))} | labels)
        real, _ = noise(jax.random.fold_in(named_key(key, "real"), batch), config.batch_size)
        parts.append(_load(path) | {"real": np.asarray(real)})
    join = partial(_join, parts)
    labels = {name.removeprefix(LABEL): join(name) for name in parts[0] if name.startswith(LABEL)}
    return Pool(join("z"), join("real"), labels, join("distance"), len(grid.steps) - 1)


def _join(parts: list[dict[str, np.ndarray]], name: str) -> np.ndarray:
    return np.concatenate([part[name] for part in parts], axis=min(parts[0][name].ndim - 1, 1))


def _load(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it to run its chains again") from error
