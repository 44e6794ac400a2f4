"""`Population`: the data that probes, exact curves and chains are about, in any space."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, Key

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.posterior import Feature, Posterior
from vdm_jax.diffusion.theory import Covariance

X = Float[Array, "q ..."]
Index = Integer[Array, " q"]
Labels = dict[str, Integer[Array, " q"]]
SPACE = "space"  # name of the key of x given the image


class Access(NamedTuple):
    """The functions of a population with their arrays: a pytree, to be an argument of what is compiled.

    take: (index, key) -> x; where x is random given the image a draw, and without a key its mean. labels: index -> the
    class of each feature. spread: (key, n) -> n indices of the posterior's members, each as likely as any, more even
    than chance.
    """

    take: Callable[..., X]
    labels: Callable[[Index], Labels]
    spread: Callable[[Key[Array, ""], int], Index]
    posterior: Posterior

    def distance(self, x: X) -> Float[Array, " q"]:
        """Root mean square over the values of x between each x and its nearest member."""
        difference = x - self.take(self.posterior.nearest(x))
        return jnp.sqrt(jnp.mean(difference**2, axis=tuple(range(1, x.ndim))))


class Population(NamedTuple):
    """Members 0 … N-1 that the posterior is over, and perhaps held-out ones after them.

    shape: of one x. identity: name and content, for the records. num_members: N. features: what is classified or
    regressed, with the classes' shares among the members. splits: indices of train, validation and test. covariance:
    () -> Cov[x] over the members. held_out: whether validation and test are no members, so that the exact curve is no
    reference for them. shifted_templates: whether every x is a template shifted on a flat background. moments: () ->
    mean and variance of each value of x, [*shape], by which probes standardise what they read; None: they read z as it
    is.
    """

    shape: tuple[int, ...]
    identity: str
    num_members: int
    features: dict[str, Feature]
    splits: dict[str, Int[np.ndarray, " n"]]
    access: Access
    covariance: Callable[[], Covariance] | None = None
    held_out: bool = False
    shifted_templates: bool = False
    moments: Callable[[], tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]] | None = None

    @property
    def take(self) -> Callable[..., X]:
        """(index, key) -> x."""
        return self.access.take

    @property
    def labels(self) -> Callable[[Index], Labels]:
        """Index -> the class of each feature."""
        return self.access.labels

    @property
    def posterior(self) -> Posterior:
        """The exact posterior over the members."""
        return self.access.posterior


def draw_members(access: Access, key: Key[Array, ""], n: int, num_members: int) -> tuple[X, Labels]:
    """Fresh draws of members with replacement, each with an x of its own, and their labels."""
    own = named_key(key, SPACE)
    index = jax.random.randint(key, (n,), 0, num_members)
    return access.take(index, own), access.labels(index)
