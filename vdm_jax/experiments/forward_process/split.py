"""The job `split`: a denoiser for small t and a generator for large t, trained apart and joined, against one model at
equal cost (Deja et al. 2022)."""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.files import write_json
from vdm_jax.base.images import to_pixels
from vdm_jax.base.keys import fold_in, named_key
from vdm_jax.base.signals import catch_sigterm, sigterm_after
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.samplers import make_times
from vdm_jax.evals.feature_net import compute_features
from vdm_jax.evals.frechet import distance_from
from vdm_jax.evals.image_distances import feature_net_of
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.models import make_ddpm
from vdm_jax.experiments.forward_process.apart import (
    ChainPart,
    Joined,
    denoisers,
    joined,
    mean_loss,
    parts_of,
    train_part,
)
from vdm_jax.experiments.forward_process.build import ForwardExperiment, shares_of
from vdm_jax.experiments.forward_process.models import training_config
from vdm_jax.experiments.forward_process.origin import origin
from vdm_jax.launch.kind import RunOptions, Status
from vdm_jax.train.state import averaged

RECORD, FOLDER, ONE = "split.json", "split", "one"
Distance = Callable[[np.ndarray], float]


def split(experiment: ForwardExperiment, workdir: pathlib.Path, options: RunOptions) -> Status:
    """Writes `split.json`; returns "done", or "stopped" after SIGTERM or `options.stop_after` seconds, with all saved.

    {"cells": [{"seed", "boundary" (a timestep), "updates": {"one", "denoiser", "generator"}, "loss": {"one", "apart":
    {"below", "above", "all"}}, "frechet": {"one", "apart", "one_at_once", "apart_at_once"}}], "num_steps", "floor",
    "network", "parameters"}. "at_once": the denoiser takes z at the boundary for an image in one step. The models of a
    seed share initial weights, batches, and the noise of losses and chains.
    """
    config, data = experiment.config.split, experiment.data
    if not experiment.config.model.train or config.num_seeds == 0:  # the job is idle
        return "done"
    own = training_config(experiment.config)
    model = make_ddpm(own, data)
    times = make_times(model.noise, config.num_sampling_steps)
    places = boundaries_of(np.asarray(times), shares_of(config.boundaries))
    steps = {place: round(float(times[place]) * model.noise.num_steps) for place in places}
    made = {place: joined(model, times, place, config.sampler) for place in places}
    distance, real = distances(data, config.num_images)
    cells = []
    with sigterm_after(options.stop_after), catch_sigterm() as stop_requested:
        for seed in range(config.num_seeds):
            own.train.seed = seed
            one = ChainPart(ONE, 0, model.noise.num_steps, own.train.num_steps)
            every = {
                place: parts_of(steps[place], model.noise.num_steps, one.num_updates, config.denoiser_share)
                for place in places
            }
            folder, weights = workdir / FOLDER / f"seed-{seed}", {}
            for part in (one, *(part for parts in every.values() for part in parts)):
                print(f"split: seed {seed}, {part.name}, {part.num_updates:,} updates", flush=True)
                result = train_part(Experiment(own, data, model), part, folder / part.name)
                if result.status == "stopped" or stop_requested():
                    return "stopped"
                weights[part.name] = averaged(result.state)
            for place, parts in every.items():
                key = fold_in(named_key(jax.random.key(config.seed), "split"), seed)
                found = compare(made[place], model, weights, parts, config, data, key, distance)
                updates = {ONE: one.num_updates, "denoiser": parts[0].num_updates, "generator": parts[1].num_updates}
                cells.append({"seed": seed, "boundary": steps[place], "updates": updates} | found)
    sizes = sum(leaf.size for leaf in jax.tree.leaves(weights[ONE]))
    record = {"cells": cells, "num_steps": model.noise.num_steps, "parameters": int(sizes)}
    write_json(workdir / RECORD, record | real | origin(experiment, config.seed))
    return "done"


def boundaries_of(times: Float[np.ndarray, " n"], shares: list[float]) -> list[int]:
    """The places in the grid of chains that are nearest to these shares of T, neither of its ends."""
    inner = times[1:-1]
    return sorted({1 + int(np.argmin(np.abs(inner - share))) for share in shares}, reverse=True)


def distances(data: Dataset, num_images: int) -> tuple[Distance, dict[str, Any]]:
    """The Fréchet distance of images to the training images; and "floor", that of as many test images, and "network",
    whose features are compared."""
    net = feature_net_of(data)
    distance = distance_from(compute_features(net, data.train.levels))
    held_out = data.test.levels[:num_images]
    floor = distance(compute_features(net, held_out))
    return lambda levels: distance(compute_features(net, levels[: len(held_out)])), {
        "floor": floor,
        "network": net.network._asdict(),
    }


def compare(
    made: Joined,
    model: Any,
    weights: dict[str, PyTree],
    parts: list[ChainPart],
    config: ConfigDict,
    data: Dataset,
    key: Key[Array, ""],
    distance: Distance,
) -> dict[str, Any]:
    """The losses and the Fréchet distances of the one model and of the parts, with the same noise.

    config: `config.split`.
    """
    low, high = parts
    of_params = denoisers(model)
    one, denoiser, generator = (of_params(weights[name]) for name in (ONE, low.name, high.name))
    x = jnp.asarray(to_pixels(data.test.levels, data.pixel_values))
    losses: dict[str, Any] = {}
    chains: dict[str, float] = {}
    for name, below, above in ((ONE, one, one), ("apart", denoiser, generator)):
        own = {
            where: mean_loss(made.losses, named_key(key, where), denoise, x, (part.low, part.high), config.passes)
            for where, denoise, part in (("below", below, low), ("above", above, high))
        }
        share = low.high / high.high
        losses[name] = own | {"all": share * own["below"] + (1 - share) * own["above"]}
        levels, at_once = draw(made, key, above, below, model.shape, config)
        chains |= {name: distance(levels), f"{name}_at_once": distance(at_once)}
    return {"loss": losses, "frechet": chains}


def draw(
    made: Joined, key: Key[Array, ""], above: Any, below: Any, shape: tuple[int, ...], config: ConfigDict
) -> tuple[np.ndarray, np.ndarray]:
    """`config.num_images` images of `Joined.chain`, levels [N, H, W, C] each, in batches of one size."""
    size = min(config.batch_size, config.num_images)
    found = []
    for i in range(-(-config.num_images // size)):
        own = fold_in(named_key(key, "chain"), i)
        z = jax.random.normal(named_key(own, "z_1"), (size, *shape))
        found.append([np.asarray(each) for each in made.chain(own, above, below, z)])
    levels, at_once = (np.concatenate(each)[: config.num_images] for each in zip(*found, strict=True))
    return levels, at_once
