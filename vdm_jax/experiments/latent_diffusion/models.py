"""The models of latents that an evaluation compares: the trained diffuser, the untrained one, and Gaussians.

Each has a denoiser, a density and draws. The schedule is that of the trained model, so that all see the same noise.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.keys import keys_of, named_key
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.progress import bar
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.objective import bound_weight
from vdm_jax.diffusion.prediction import Denoise
from vdm_jax.diffusion.rows import covariance_of_rows
from vdm_jax.diffusion.schedules import Schedule, interpolated
from vdm_jax.evals.batches import map_batches
from vdm_jax.evals.latents.baselines import GaussianMixture, fit_mixture, gaussian_of, prior_of
from vdm_jax.evals.latents.bound import time_proposal
from vdm_jax.evals.latents.denoising import linear_errors
from vdm_jax.experiments.common.checkpoints import Weights, initial_params
from vdm_jax.experiments.common.evaluate import sampling
from vdm_jax.experiments.common.space.encoded import EncodedSpace
from vdm_jax.experiments.latent_diffusion.latents import latents_of, seen_moments
from vdm_jax.models.diffusion import DiffusionModel, DiffusionObjective
from vdm_jax.models.generate import generate
from vdm_jax.models.terms import one_by_one

TRAINED, UNTRAINED, PRIOR, GAUSSIAN, MIXTURE = "trained", "untrained", "prior", "gaussian", "mixture"
PARTS = 1_000  # of the time, in which the integrand of a bound is expected to be even
Latents = Float[np.ndarray, "n ..."]


class Family(NamedTuple):
    """Functions of the parameters of models of one form; one program each serves all of them.

    denoise: params -> Denoise. density: (params, keys [B], x [B, ...], t [B]) -> [B] nats, -log p(x) or a bound on it
    from one draw; None where there is none. draw: (params, key, N) -> x [N, ...].
    """

    denoise: Callable[[PyTree], Denoise]
    density: Callable[..., Float[Array, " b"]] | None
    draw: Callable[[PyTree, Key[Array, ""], int], Latents]


class LatentModel(NamedTuple):
    """A model of latents."""

    params: PyTree
    family: Family


def diffusion_family(
    model: DiffusionModel, schedule: Schedule, sample: ConfigDict, eigenvalues: Float[np.ndarray, " d"]
) -> Family:
    """Diffusion models with the network of `model`. sample: `config.sample`.

    The density is the bound at T = infinity; of a table, under the schedule through its entries: the bound of DDPM's
    chain of 1,000 steps is 0.46 nats a component higher for N(0, 1). Its times follow the integrand of the best linear
    denoiser of latents with these eigenvalues, because most of a bound lies at few of them.
    """

    def draw(params, key, number):
        return generate(model, params, key, number, **sampling(sample), progress=bar("evaluate: samples"))

    if model.no_bound:
        return Family(model.denoise, None, draw)
    noise = interpolated(model.noise) if model.fixed_schedule else model.noise
    endless = dataclasses.replace(model, noise=noise, objective=DiffusionObjective())
    gammas, weight = bound_weight(
        interpolated(schedule), jnp.asarray((np.arange(PARTS) + 0.5) / PARTS, jnp.float32), None
    )
    times = time_proposal(np.asarray(weight, np.float64) * linear_errors(eigenvalues, np.asarray(gammas))[1])

    def density(params, keys, x, t):
        t, weight = times.draw(t)

        def one(key, x, t, weight):
            terms = endless.losses(key, params, x, None, t).terms
            return {"bound": terms.reconstruction + terms.prior + weight * terms.diffusion}

        return one_by_one(one, keys, x, t, weight)["bound"]

    return Family(model.denoise, density, draw)


def mixture_family(shape: tuple[int, ...], schedule: Schedule, batch_size: int) -> Family:
    """Mixtures of Gaussians, whose denoiser and density are exact."""

    def denoise(mixture: GaussianMixture) -> Denoise:
        return lambda z, t: mixture.denoise(z, schedule.gamma(t))

    @jax.jit
    def drawn(mixture, key, indices):
        return mixture.draw(keys_of(key, indices), shape)

    def draw(mixture, key, number):
        indices = np.arange(number)
        return map_batches(lambda batch: drawn(mixture, key, batch), indices, batch_size, place=across_devices)

    return Family(denoise, lambda mixture, keys, x, t: -mixture.log_prob(x), draw)


def make_latent_models(
    config: ConfigDict,
    data: Dataset,
    model: DiffusionModel,
    weights: Weights,
    space: EncodedSpace,
    key: Key[Array, ""],
) -> dict[str, LatentModel]:
    """The models of latents by name; a model that was not trained is there as "untrained" alone.

    prior: N(0, I) of the latents as the autoencoder makes them. gaussian: with the moments of the training latents.
    mixture: fitted to `config.evaluate.fitted_images` of them; without it where `mixture_components` is 0.
    """
    settings = config.evaluate
    schedule = model.schedule(weights.params)
    gaussian = gaussian_of(*covariance_of_rows(*seen_moments(space, "train")))
    network = diffusion_family(model, schedule, config.sample, np.asarray(gaussian.values[0]))
    noise = {name: weights.params[name] for name in ("gamma",) if name in weights.params}
    found = {TRAINED: LatentModel(weights.params, network)} if weights.step else {}
    found[UNTRAINED] = LatentModel(initial_params(model, config.train.seed) | noise, network)
    exact = mixture_family(tuple(model.shape), schedule, settings.batch_size)
    deviation = np.broadcast_to(np.asarray(space.factor, np.float32), model.shape).reshape(-1)
    found[PRIOR] = LatentModel(prior_of(deviation), exact)
    found[GAUSSIAN] = LatentModel(gaussian, exact)
    if settings.mixture_components:
        codes = latents_of(space, data, "train", settings.fitted_images, named_key(key, "fitted"))
        fitted = fit_mixture(codes.reshape(len(codes), -1), settings.mixture_components, settings.seed)
        found[MIXTURE] = LatentModel(fitted, exact)
    return found


def draw_all(models: dict[str, LatentModel], key: Key[Array, ""], number: int) -> Iterable[tuple[str, Latents]]:
    """(name, N draws) of each model."""
    for name, model in models.items():
        yield name, model.family.draw(model.params, named_key(key, f"draws {name}"), number)
