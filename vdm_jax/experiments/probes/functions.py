"""What `vdm_jax.load` offers of timestep probes: the exact posterior, and the trained probes that are stored."""

import pathlib
from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.timesteps import distinct_steps, gammas_at
from vdm_jax.experiments.probes.build import ProbeExperiment
from vdm_jax.experiments.probes.training import CHUNKS, build_ensemble
from vdm_jax.probing.chunks import load_chunks, restructure, unflatten
from vdm_jax.probing.training import shapes_of_timestep

PARAMS = "params"  # of what a chunk of timesteps stores


def restore(experiment: ProbeExperiment, workdir: pathlib.Path) -> dict[int, PyTree]:
    """{timestep: parameters [K, ...] of its K probes}; {} where none are trained. Raises `UserError`."""
    if not any((workdir / CHUNKS).glob("*.npz")):
        return {}
    ensemble, _ = build_ensemble(experiment.config.probe, experiment.population)
    like = shapes_of_timestep(ensemble)
    stored = load_chunks(workdir / CHUNKS, {PARAMS: like})

    def parameters(arrays):
        return unflatten({name: array for name, array in arrays.items() if name.startswith(f"{PARAMS}/")})[PARAMS]

    return {step: restructure(parameters(arrays), like) for step, arrays in stored.items()}


def probe_functions(experiment: ProbeExperiment, params: dict[int, PyTree]) -> dict[str, Callable]:
    """`posterior` and `predict`. Both take z_t [B, *shape] and one time t = timestep/T in [0, 1]."""
    config, schedule, population = experiment.config, experiment.schedule, experiment.population
    shape, num_steps = population.shape, schedule.num_steps
    steps, _, first, where = distinct_steps(config.exact.num_timesteps, schedule)

    def checked(z: ArrayLike, t: float) -> Float[Array, "b ..."]:
        z = jnp.asarray(z, jnp.float32)
        if z.shape[1:] != shape or not len(z):
            raise UserError(f"z has shape {list(z.shape)}; expected [B, {', '.join(map(str, shape))}]")
        if not 0 <= t <= 1:
            raise UserError(f"t={t}; expected a time in [0, 1], a timestep over T = {num_steps}")
        return z

    def posterior(z: ArrayLike, t: float) -> dict[str, Float[Array, "b c"]]:
        """{feature: p(class | z_t) [B, C]}: the exact posterior over the population, nothing is trained.

        z: z_t = alpha_t x + sigma_t eps, [B, *shape]. t: timestep/T in [0, 1], rounded to the nearest timestep.
        """
        z = checked(z, t)
        (gamma,) = gammas_at(schedule, np.array([round(t * num_steps)]))
        return classes(population.posterior, z, jnp.float32(gamma))

    @jax.jit
    def classes(posterior, z, gamma):
        return posterior.classes(z, gamma)

    def predict(z: ArrayLike, t: float) -> dict[str, Float[Array, "s b o"]]:
        """{feature: predictions of the trained probes, [S, B, C] for S seeds}.

        Probabilities of the classes of a feature that is classified; values of one that is regressed (x and y in
        [0, 1], scale, and (cos kθ, sin kθ) of an orientation). The probes are those of the trained timestep nearest
        to t. Raises `UserError` where no probes are trained.
        """
        z, index = checked(z, t), int(np.abs(steps - t * num_steps).argmin())
        step = int(steps[first][where[index]])
        if step not in params:
            raise UserError(f"no probes of timestep {step} are trained in this run; --jobs=train trains them")
        (gamma,) = gammas_at(schedule, np.array([step]))
        return outputs()(params[step], z, jnp.float32(gamma))

    @cache
    def outputs():  # made where probes are there: the net of the config need not fit a space
        ensemble, _ = build_ensemble(config.probe, population)
        return jax.jit(lambda stored, z, gamma: ensemble.members.predict(ensemble.objective.outputs(stored, z, gamma)))

    return {"posterior": posterior, "predict": predict}
