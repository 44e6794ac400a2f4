"""Scores in the plane: the mixture of two Gaussians, its score at any noise level, and networks that learn it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.keys import keys_of, named_key
from vdm_jax.diffusion.prediction import Denoise, to_prediction
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.diffusion.score_matching.objectives import (
    Score,
    denoising_objective,
    exact_objective,
    exploding_score_of,
    matching_losses,
    sliced_objective,
)
from vdm_jax.diffusion.times import stratified_times, to_steps
from vdm_jax.evals.latents.baselines import GaussianMixture
from vdm_jax.networks.latent_mlp import make_latent_mlp
from vdm_jax.networks.network import Network

LEVELS = "levels"
OBJECTIVES = {
    "exact": "exact, no noise",
    "sliced": "sliced, no noise",
    "denoising": "denoising at one level",
    LEVELS: "denoising at all levels",
}


def two_gaussians(weight: float, centre: tuple[float, float]) -> GaussianMixture:
    """weight N(-centre, I) + (1 - weight) N(centre, I) in the plane."""
    mean = jnp.asarray([-np.asarray(centre), np.asarray(centre)], jnp.float32)
    return GaussianMixture(jnp.log(jnp.asarray([weight, 1 - weight], jnp.float32)), mean, jnp.ones((2, 2)), None)


def with_noise(mixture: GaussianMixture, sigma: float | Float[Array, ""]) -> GaussianMixture:
    """The law of x + sigma eps."""
    return mixture._replace(values=mixture.values + sigma**2)


def score_of_mixture(mixture: GaussianMixture) -> Score:
    """∇ log p in closed form: Σ_k P(k | x) (mean_k - x)/variance_k."""
    return jax.grad(lambda x: mixture.log_prob(x).sum())


def draw(mixture: GaussianMixture, key: Key[Array, ""], number: int) -> Float[Array, "n 2"]:
    """N draws."""
    return mixture.draw(keys_of(named_key(key, "mixture"), jnp.arange(number)), (2,))


def make_network(width: int, num_layers: int) -> Network:
    """The network of all objectives: residual layers; of one level it reads the constant time 1."""
    return make_latent_mlp((2,), kind="resmlp", width=width, num_layers=num_layers, zero_init=True)


def plain_score(network: Network, params: PyTree) -> Score:
    """The network's output as the score, without a noise level."""
    return lambda x: network.apply(params, x, jnp.ones(len(x)))


def denoiser(network: Network, params: PyTree, schedule: Schedule) -> Denoise:
    """The network's output as eps_hat at every level of a table."""
    return lambda z, t: to_prediction("eps", network.apply(params, z, t), z, schedule.gamma(t))


def learned_score(network: Network, params: PyTree, objective: str, schedule: Schedule, sigma: float) -> Score:
    """The score that a trained network has for data with noise of deviation `sigma`, a level of the table; without
    noise levels the one that it has."""
    if objective != LEVELS:
        return plain_score(network, params)
    entries = schedule.gamma(jnp.arange(1, schedule.num_steps + 1) / schedule.num_steps)
    entry = 1 + int(np.argmin(np.abs(np.asarray(entries) - 2 * np.log(sigma))))
    denoise = denoiser(network, params, schedule)
    return lambda y: exploding_score_of(denoise, schedule, jnp.full(len(y), entry / schedule.num_steps))(y)


def loss_of(objective: str, network: Network, schedule: Schedule, sigma: float) -> Callable[..., Float[Array, " b"]]:
    """`loss(params, key, x) -> [B]` of one of `OBJECTIVES`."""

    def loss(params: PyTree, key: Key[Array, ""], x: Float[Array, "b 2"]) -> Float[Array, " b"]:
        score = plain_score(network, params)
        if objective == "exact":
            return exact_objective(score, x)
        if objective == "sliced":
            return sliced_objective(key, score, x)
        if objective == "denoising":
            return denoising_objective(key, score, x, jnp.float32(sigma))
        t = to_steps(stratified_times(named_key(key, "times"), len(x)), schedule.num_steps)
        return matching_losses(key, x, denoiser(network, params, schedule), schedule, t, "denoising")

    return loss


def make_fit(
    settings: ConfigDict, mixture: GaussianMixture, network: Network, schedule: Schedule, objective: str
) -> Callable[[Key[Array, ""]], PyTree]:
    """`fit(key) -> params` after `settings.num_steps` updates of Adam on fresh draws, compiled once."""
    loss = loss_of(objective, network, schedule, settings.sigma)
    optimizer = optax.adam(optax.cosine_decay_schedule(settings.learning_rate, settings.num_steps))
    sizes = settings.batch_size, settings.num_steps
    run = partial(_fit, loss, optimizer, sizes)
    return lambda key: run(network.init(named_key(key, "init")), key, mixture)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _fit(
    loss: Callable[..., Float[Array, " b"]],
    optimizer: optax.GradientTransformation,
    sizes: tuple[int, int],
    params: PyTree,
    key: Key[Array, ""],
    mixture: GaussianMixture,
) -> PyTree:
    batch_size, num_steps = sizes

    def step(state: Any, i: Array) -> Any:
        params, optimizer_state = state
        own = jax.random.fold_in(named_key(key, "step"), i)
        x = draw(mixture, named_key(own, "x"), batch_size)
        grads = jax.grad(lambda params: loss(params, named_key(own, "loss"), x).mean())(params)
        updates, optimizer_state = optimizer.update(grads, optimizer_state, params)
        return (optax.apply_updates(params, updates), optimizer_state), None

    return jax.lax.scan(step, (params, optimizer.init(params)), jnp.arange(num_steps))[0][0]
