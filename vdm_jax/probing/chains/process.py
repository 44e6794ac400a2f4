"""Chains of a diffusion model: when features are decided from noise, what round trips keep, real against generated.

Three experiments, for the exact diffusion model and for trained ones. *Backward*: z_t along a chain from noise, with
the label of its end; the exact posterior of noised data predicts that label. *Round trip*: data noised to t and sampled
back. *Real or generated*: z_t of noised data against z_t of chains. For an exact model the results are the exact
curves: accuracy A(t), retention R(t), squared error 2 MMSE(t), and one half.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, Integer, Key

from vdm_jax.base.keys import named_key
from vdm_jax.base.program import Program, as_partial
from vdm_jax.diffusion.gaussian import alpha_sigma, noised
from vdm_jax.diffusion.posterior import Draw, Feature, sample_exactly
from vdm_jax.diffusion.prediction import Denoise
from vdm_jax.diffusion.rows import product
from vdm_jax.diffusion.samplers import XFn, sample, sample_by_x
from vdm_jax.diffusion.schedules import Schedule, even_timesteps
from vdm_jax.diffusion.timesteps import LEAST_NOISE
from vdm_jax.probing.chains.two_samples import statistics
from vdm_jax.probing.population import Labels, Population, draw_members


@dataclass(frozen=True)
class Grid:
    """The timesteps of a chain, T … 0, among them those that are queried."""

    steps: tuple[int, ...]  # descending; steps[0] = T is the schedule's last
    queried: tuple[int, ...]  # ascending, the timesteps whose z is kept

    @property
    def times(self) -> Float[Array, " n"]:
        """`steps` divided by T."""
        return jnp.array(self.steps, jnp.float32) / self.steps[0]

    @property
    def keep(self) -> tuple[int, ...]:
        """The positions of `queried` among `steps`."""
        return tuple(self.steps.index(step) for step in self.queried)


def make_grid(queried: Integer[np.ndarray, " m"], num_steps: int, schedule: Schedule) -> Grid:
    """About `num_steps` steps from T to 0, even where the schedule adds noise, and each of the queried timesteps."""
    steps = np.unique(np.concatenate([[0], even_timesteps(schedule, num_steps + 1), queried]))[::-1]
    return Grid(tuple(steps.tolist()), tuple(np.unique(queried).tolist()))


Images = Float[Array, "q ..."]
Path = Float[Array, "m q ..."]
First = Integer[Array, ""]
ReverseProcess = Callable[[Key[Array, ""], Images, tuple[int, ...], First], tuple[Images, Path]]
"""`process(key, z, keep, first) -> z at the end, z at the timesteps of `keep`, from z at times[first] of the grid.

A `jax.tree_util.Partial` that carries its arrays: an argument of what is compiled."""
Reader = Callable[[Key[Array, ""], Images], Labels]
"""`read(key, x)`, the labels of the end of a chain: of the nearest member, or by a trained network. It is a `Partial`.
Among members with the same x one is drawn."""
Readers = dict[str, Reader]
"""By name."""


def exact_process(draw: Draw, schedule: Schedule, grid: Grid) -> ReverseProcess:
    """The exact diffusion model: a posterior draw at each step, exact on any grid."""

    def process(draw, key, z, keep, first):
        return sample_exactly(key, draw, schedule, z, grid.times, keep, first)

    return Partial(process, as_partial(draw))


def x_process(x_fn: XFn, schedule: Schedule, grid: Grid, sampler: str) -> ReverseProcess:
    """A model that predicts E[x | z_t], with any of `SAMPLERS`."""

    def process(x_fn, key, z, keep, first):
        return sample_by_x(key, x_fn, schedule, z, grid.times, sampler, keep, first)

    return Partial(process, as_partial(x_fn))


def model_process(
    denoise: Denoise, schedule: Schedule, grid: Grid, sampler: str, x_range: tuple[float, float] | None = None
) -> ReverseProcess:
    """A trained model, with any of `SAMPLERS`; x_hat is clipped to `x_range`."""

    def process(denoise, key, z, keep, first):
        return sample(key, denoise, schedule, z, grid.times, sampler, keep, x_range, first)

    return Partial(process, as_partial(denoise))


def nearest_reader(population: Population) -> Reader:
    """Reads the labels of the nearest member; of members with the same x one is drawn."""

    def read(access, key, x):
        return access.labels(access.posterior.alike(key, access.posterior.nearest(x)))

    return Partial(read, population.access)


def posterior_reader(population: Population) -> Reader:
    """Draws each label from p(c | x), the exact posterior without noise, where members are random x.

    The ends of exact chains and their labels are then distributed as members and theirs are. The most likely member
    would be known better at every timestep than the one that was drawn.
    """

    def read(posterior, key, x):
        gamma = jnp.float32(LEAST_NOISE)
        classes = posterior.classes(alpha_sigma(gamma)[0] * x, gamma)
        return {
            name: jax.random.categorical(named_key(key, name), jnp.log(p), axis=1).astype(jnp.int32)
            for name, p in classes.items()
        }

    return Partial(read, population.posterior)


def read_all(readers: Readers, key: Key[Array, ""], x: Images) -> dict[str, Labels]:
    """The labels that each reader gives."""
    return {name: read(named_key(key, f"read {name}"), x) for name, read in readers.items()}


class Guess(NamedTuple):
    """The exact posterior at one z_t compared with the label of the chain's end; each [Q], or [M, Q] over timesteps."""

    right: Bool[Array, "*m q"]  # the most probable class is the label
    cross_entropy: Float[Array, "*m q"]  # -log p(label | z_t), nats; at most 87, the limit of float32
    squared_error: Float[Array, "*m q"]  # ||v(label) - E[v | z_t]||²; 0 for a feature without values


def judge(feature: Feature, p: Float[Array, "q c"], label: Integer[Array, " q"]) -> Guess:
    """The class posterior p(c | z_t) compared with `label`."""
    chosen = jnp.take_along_axis(p, label[:, None], axis=1)[:, 0]
    cross_entropy = -jnp.log(jnp.maximum(chosen, jnp.finfo(p.dtype).tiny))
    error = jnp.zeros(p.shape[0])
    if feature.values is not None:
        values = jnp.asarray(feature.values, jnp.float32)
        error = jnp.sum((values[label] - product(p, values)) ** 2, axis=1)
    return Guess(p.argmax(axis=1) == label, cross_entropy, error)


class Backward(NamedTuple):
    """A batch of chains from noise at M timesteps."""

    guesses: dict[str, dict[str, Guess]]  # by reader and feature, [M, Q]
    labels: dict[str, Labels]  # of the ends, by reader
    distance: Float[Array, " q"]  # of the ends from the nearest member
    generated: Float[Array, "m q k"]  # statistics of the chain's z_t
    real: Float[Array, "m q k"]  # statistics of z_t of as many noised members


def make_backward(
    population: Population,
    readers: Readers,
    process: ReverseProcess,
    schedule: Schedule,
    grid: Grid,
    gammas: Float[np.ndarray, " m"],
) -> Callable[[Key[Array, ""], int], Backward]:
    """Returns `backward(key, n)`, compiled: chains from noise, compared with the posterior and with noised members.

    gammas: of the queried timesteps, finite: the noise levels at which the posterior is evaluated.
    """
    features = population.features
    generate, noise = make_generated(population, grid), make_noised(population, schedule, grid)

    def compare(access, inputs):
        gamma, z, z_real, labels = inputs
        classes = access.posterior.classes(z, gamma)
        guesses = {
            reader: {name: judge(features[name], p, read[name]) for name, p in classes.items()}
            for reader, read in labels.items()
        }
        return guesses, statistics(z), statistics(z_real)

    def backward(access, process, readers, key, n):
        z, x, labels = generate(process, readers, named_key(key, "generated"), n)
        z_real, _ = noise(access, named_key(key, "real"), n)
        every = jax.tree.map(lambda label: jnp.tile(label, (len(gammas), 1)), labels)
        inputs = (jnp.asarray(gammas, jnp.float32), z, z_real, every)
        guesses, generated, real = jax.lax.map(lambda inputs: compare(access, inputs), inputs)
        return Backward(guesses, labels, access.distance(x), generated, real)

    return Program(backward, population.access, process, readers, static_argnums=(1,))


def make_generated(population: Population, grid: Grid) -> Callable[..., tuple[Path, Images, dict[str, Labels]]]:
    """Returns `generated(process, readers, key, n)`: z_t [M, n, …] at the queried timesteps of chains from N(0, I),
    their ends, and the labels of the ends by each reader."""

    def generated(process, readers, key, n):
        start = jax.random.normal(named_key(key, "start"), (n, *population.shape))
        x, z = process(named_key(key, "walk"), start, grid.keep, jnp.int32(0))
        return z, x, read_all(readers, key, x)

    return generated


def make_noised(population: Population, schedule: Schedule, grid: Grid) -> Callable[..., tuple[Path, Labels]]:
    """Returns `noised(access, key, n)`: z_t [M, n, …] of noised members at the queried timesteps, with one noise for
    all, and their labels."""
    gammas = schedule.gamma(jnp.asarray(grid.queried, jnp.float32) / grid.steps[0])

    def of_members(access, key, n):
        x, labels = draw_members(access, named_key(key, "x"), n, population.num_members)
        eps = jax.random.normal(named_key(key, "eps"), x.shape)
        return jax.vmap(lambda gamma: noised(x, eps, gamma))(gammas), labels

    return of_members


class RoundTrip(NamedTuple):
    """A batch of members noised to one timestep and sampled back."""

    before: Labels
    after: dict[str, Labels]  # by reader
    distance: Float[Array, " q"]  # of the ends from the nearest member


def make_round_trip(
    population: Population, readers: Readers, process: ReverseProcess, schedule: Schedule, grid: Grid
) -> Callable[[Key[Array, ""], int, int], RoundTrip]:
    """Returns `round_trip(key, n, t)`, compiled once for all t: noised to t, and back by the steps below."""

    def round_trip(access, process, readers, key, n, first):
        x, before = draw_members(access, named_key(key, "x"), n, population.num_members)
        eps = jax.random.normal(named_key(key, "eps"), x.shape)
        z = noised(x, eps, schedule.gamma(grid.times[first]))
        back, _ = process(named_key(key, "walk"), z, (), first)
        return RoundTrip(before, read_all(readers, key, back), access.distance(back))

    compiled = Program(round_trip, population.access, process, readers, static_argnums=(1,))
    return lambda key, n, t: compiled(key, n, jnp.int32(grid.steps.index(t)))
