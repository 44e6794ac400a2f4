"""What the scores of disentanglement take: the codes of images and the classes of their factors; pools of images."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Integer

from vdm_jax.base.errors import UserError
from vdm_jax.base.statistics import standard_error

DEAD = 1e-10  # a dimension whose variance is below this times the largest carries nothing

Codes = Float[np.ndarray, "n d"]


class Coded(NamedTuple):
    """Codes of N images, the class 0 … K-1 of each of F factors, their names, and which of them are ordered numbers."""

    codes: Codes
    factors: Integer[np.ndarray, "n f"]
    names: tuple[str, ...]
    ordered: tuple[bool, ...]


def alive(coded: Coded) -> Coded:
    """Factors with at least two values, recounted from 0 without gaps; dimensions of the codes that vary.

    Raises `UserError` where no factor varies.
    """
    varied = [i for i in range(coded.factors.shape[1]) if len(np.unique(coded.factors[:, i])) > 1]
    if not varied:
        raise UserError("scores of disentanglement need a factor with at least two values")
    columns = [np.unique(coded.factors[:, i], return_inverse=True)[1] for i in varied]
    variance = coded.codes.astype(np.float64).var(axis=0)
    kept = variance > DEAD * max(float(variance.max()), 1e-300)
    codes = coded.codes[:, kept] if kept.any() else np.zeros((len(coded.codes), 1), np.float32)
    names, ordered = ([part[i] for i in varied] for part in (coded.names, coded.ordered))
    return Coded(codes.astype(np.float64), np.stack(columns, axis=1), tuple(names), tuple(ordered))


class ImagePool:
    """Images by the value of each factor, for draws in which one factor is fixed."""

    def __init__(self, factors: Integer[np.ndarray, "n f"]):
        self.number, self.num_factors = factors.shape
        self.order = [np.argsort(factors[:, k], kind="stable") for k in range(self.num_factors)]
        self.counts = [np.bincount(factors[:, k]) for k in range(self.num_factors)]

    def draw_fixed(
        self, random: np.random.RandomState, factor: Integer[np.ndarray, " p"], size: int
    ) -> Int[np.ndarray, "p s"]:
        """For each of P draws `size` images with one value of the factor, which each image is as likely to set."""
        found = np.empty((len(factor), size), int)
        for k in range(self.num_factors):
            rows = np.flatnonzero(factor == k)
            ends = np.cumsum(self.counts[k])
            place = np.searchsorted(ends, random.randint(0, self.number, len(rows)), side="right")
            within = random.random_sample((len(rows), size)) * self.counts[k][place][:, None]
            found[rows] = self.order[k][(ends - self.counts[k])[place][:, None] + within.astype(int)]
        return found


def over_seeds(values: list[float], num: int) -> dict[str, Any]:
    """The mean of a score over seeds, each with draws of its own, with the standard error over them."""
    return {"value": float(np.mean(values)), "standard_error": standard_error(np.array(values)), "num": num}
