"""Chains of a diffusion model: what is decided on the way from noise, kept on a round trip, told apart from data.

Three experiments, on the exact diffusion model and on a trained one alike. *Backward*: z_t along the chain from noise,
the label read off its end; the probe that is best for noised data says when it is decided. *Round trip*: data noised to
t and sampled back. *Real or generated*: z_t of noised data against z_t of the chain. For an exact model the answers
are the exact curves: accuracy A(t), retention R(t), error 2 MMSE(t), one half.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, Key

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import noised
from vdm_jax.diffusion.optimal import Draw, Feature, sample_exactly
from vdm_jax.diffusion.prediction import Denoise
from vdm_jax.diffusion.samplers import XFn, sample, sample_by_x
from vdm_jax.diffusion.schedules import Schedule, even_timesteps
from vdm_jax.probing.two_samples import statistics


@dataclass(frozen=True)
class Grid:
    """The timesteps of a chain, T … 0, those asked about among them."""

    steps: tuple[int, ...]  # descending, of which steps[0] = T is the schedule's last
    asked: tuple[int, ...]  # rising

    @property
    def times(self) -> Float[Array, " n"]:
        """Of `steps`, as parts of T."""
        return jnp.array(self.steps, jnp.float32) / self.steps[0]

    @property
    def keep(self) -> tuple[int, ...]:
        """Where the asked timesteps are among `steps`."""
        return tuple(self.steps.index(step) for step in self.asked)


def make_grid(asked: Integer[np.ndarray, " m"], num_steps: int, schedule: Schedule) -> Grid:
    """From the schedule's T to 0 about `num_steps` steps, even where noise is added, and a stop at each of the asked
    timesteps besides."""
    steps = np.unique(np.concatenate([[0], even_timesteps(schedule, num_steps + 1), asked]))[::-1]
    return Grid(tuple(steps.tolist()), tuple(np.unique(asked).tolist()))


Images = Float[Array, "q ..."]
Path = Float[Array, "m q ..."]
Labels = dict[str, Integer[Array, " q"]]
First = Integer[Array, ""]
Walk = Callable[[Key[Array, ""], Images, tuple[int, ...], First], tuple[Images, Path]]
"""`walk(key, z, keep, first) -> z at the end, z at the timesteps of `keep`, from z at times[first] of the grid."""


def exact_walk(draw: Draw, schedule: Schedule, grid: Grid) -> Walk:
    """The exact diffusion model: a posterior draw at each step, exact on any grid."""
    return lambda key, z, keep, first: sample_exactly(key, draw, schedule, z, grid.times, keep, first)


def x_walk(x_fn: XFn, schedule: Schedule, grid: Grid, sampler: str) -> Walk:
    """A model that predicts E[x | z_t], by any of `SAMPLERS`."""
    return lambda key, z, keep, first: sample_by_x(key, x_fn, schedule, z, grid.times, sampler, keep, first)


def eps_walk(
    denoise: Denoise, schedule: Schedule, grid: Grid, sampler: str, x_range: tuple[float, float] | None = None
) -> Walk:
    """A trained model, by any of `SAMPLERS`; x_hat clipped to `x_range`."""
    return lambda key, z, keep, first: sample(key, denoise, schedule, z, grid.times, sampler, keep, x_range, first)


@dataclass(frozen=True)
class Subject:
    """The data that chains are asked about, and who answers.

    draw(key, n): fresh data with their labels. classes(z, gamma): the exact posterior of noised data, by feature.
    readers: by name `read(key, x)`, the labels of what a chain ends in: exact, or by trained networks; of labels that x
    does not tell apart one is drawn, as for data. distance(x): [Q], of each from the data.
    """

    draw: Callable[[Key[Array, ""], int], tuple[Images, Labels]]
    features: dict[str, Feature]
    classes: Callable[[Float[Array, "q ..."], Float[Array, ""]], dict[str, Float[Array, "q c"]]]
    readers: dict[str, Callable[[Key[Array, ""], Images], Labels]]
    distance: Callable[[Images], Float[Array, " q"]]

    def read(self, key: Key[Array, ""], x: Images) -> dict[str, Labels]:
        """What every reader says."""
        return {name: read(named_key(key, f"read {name}"), x) for name, read in self.readers.items()}


class Guess(NamedTuple):
    """Of the exact posterior at one z_t about the label at the chain's end; each [Q], or [M, Q] over timesteps."""

    right: Bool[Array, "*m q"]  # the most probable class is the label
    cross_entropy: Float[Array, "*m q"]  # -log p(label | z_t), nats; at most 87, where float32 ends
    squared_error: Float[Array, "*m q"]  # ||v(label) - E[v | z_t]||²; 0 for a feature without values


def judge(feature: Feature, p: Float[Array, "q c"], label: Integer[Array, " q"]) -> Guess:
    """What the class posterior p(c | z_t) says of `label`."""
    chosen = jnp.take_along_axis(p, label[:, None], axis=1)[:, 0]
    cross_entropy = -jnp.log(jnp.maximum(chosen, jnp.finfo(p.dtype).tiny))
    error = jnp.zeros(p.shape[0])
    if feature.values is not None:
        values = jnp.asarray(feature.values, jnp.float32)
        error = jnp.sum((values[label] - p @ values) ** 2, axis=1)
    return Guess(p.argmax(axis=1) == label, cross_entropy, error)


class Backward(NamedTuple):
    """Of a batch of chains from noise, M timesteps asked."""

    guesses: dict[str, dict[str, Guess]]  # by reader and feature, [M, Q]
    labels: dict[str, Labels]  # of the ends, by reader
    distance: Float[Array, " q"]  # of the ends from the data
    generated: Float[Array, "m q k"]  # statistics of the chain's z_t
    real: Float[Array, "m q k"]  # statistics of z_t of as many noised data


def make_backward(
    subject: Subject, walk: Walk, schedule: Schedule, grid: Grid, gammas: Float[np.ndarray, " m"]
) -> Callable[[Key[Array, ""], int], Backward]:
    """-> `backward(key, n)`, compiled: experiments 2 and 3 from one pass, of which the asked z_t alone are held.

    gammas: of the asked timesteps, finite: the noise levels at which the posterior is asked.
    """
    generate = make_generated_feed(subject, walk, schedule, grid)
    noise = make_real_feed(subject, schedule, grid)

    def look(inputs):
        gamma, z, z_real, labels = inputs
        classes = subject.classes(z, gamma)
        guesses = {
            reader: {name: judge(subject.features[name], p, read[name]) for name, p in classes.items()}
            for reader, read in labels.items()
        }
        return guesses, statistics(z), statistics(z_real)

    def backward(key, n):
        z, x, labels = generate(named_key(key, "generated"), n)
        z_real, _ = noise(named_key(key, "real"), n)
        every = jax.tree.map(lambda label: jnp.tile(label, (len(gammas), 1)), labels)
        guesses, generated, real = jax.lax.map(look, (jnp.asarray(gammas, jnp.float32), z, z_real, every))
        return Backward(guesses, labels, subject.distance(x), generated, real)

    return jax.jit(backward, static_argnums=1)


def make_generated_feed(
    subject: Subject, walk: Walk, schedule: Schedule, grid: Grid
) -> Callable[[Key[Array, ""], int], tuple[Path, Images, dict[str, Labels]]]:
    """-> `feed(key, n)`: z_t [M, n, …] at the asked timesteps of chains from N(0, I), their ends, labels read there by
    each reader."""

    def feed(key, n):
        shape = jax.eval_shape(lambda key: subject.draw(key, n)[0], key).shape
        start = jax.random.normal(named_key(key, "start"), shape)
        x, z = walk(named_key(key, "walk"), start, grid.keep, jnp.int32(0))
        return z, x, subject.read(key, x)

    return feed


def make_real_feed(
    subject: Subject, schedule: Schedule, grid: Grid
) -> Callable[[Key[Array, ""], int], tuple[Path, Labels]]:
    """-> `feed(key, n)`: z_t [M, n, …] of noised data at the asked timesteps, one noise for all, and the labels."""
    gammas = schedule.gamma(jnp.asarray(grid.asked, jnp.float32) / grid.steps[0])

    def feed(key, n):
        x, labels = subject.draw(named_key(key, "x"), n)
        eps = jax.random.normal(named_key(key, "eps"), x.shape)
        return jax.vmap(lambda gamma: noised(x, eps, gamma))(gammas), labels

    return feed


class RoundTrip(NamedTuple):
    """Of a batch of data noised to one timestep and sampled back."""

    before: Labels
    after: dict[str, Labels]  # by reader
    distance: Float[Array, " q"]  # of what came back from the data


def make_round_trip(
    subject: Subject, walk: Walk, schedule: Schedule, grid: Grid
) -> Callable[[Key[Array, ""], int, int], RoundTrip]:
    """-> `round_trip(key, n, t)`, compiled once for all t of the grid: noised to t, and by the steps below it back."""

    def round_trip(key, n, first):
        x, before = subject.draw(named_key(key, "x"), n)
        eps = jax.random.normal(named_key(key, "eps"), x.shape)
        z = noised(x, eps, schedule.gamma(grid.times[first]))
        back, _ = walk(named_key(key, "walk"), z, (), first)
        return RoundTrip(before, subject.read(key, back), subject.distance(back))

    compiled = jax.jit(round_trip, static_argnums=1)
    return lambda key, n, t: compiled(key, n, jnp.int32(grid.steps.index(t)))
