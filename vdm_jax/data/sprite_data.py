"""Sprites as a data set: a split stores indices, and images are rendered where they are needed."""

import hashlib
from dataclasses import dataclass
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Integer, UInt8

from vdm_jax.base.errors import choose
from vdm_jax.base.progress import bar
from vdm_jax.data.dataset import SPLITS, Split
from vdm_jax.data.sprites import FACTORS, SpriteGrid

COARSE = 4  # parts of the axes x and y in which a coarse place is counted


@dataclass(frozen=True)
class SpriteData:
    """The `Dataset` of a grid of sprites. A split stores indices, 4 bytes an image; its labels are the shapes."""

    grid: SpriteGrid
    splits: dict[str, Int[np.ndarray, " n"]]  # of train, validation and test

    @cached_property
    def train(self) -> Split:
        """The images to learn from."""
        return self._split("train")

    @cached_property
    def validation(self) -> Split:
        """The images to choose a checkpoint by."""
        return self._split("validation")

    @cached_property
    def test(self) -> Split:
        """The images to evaluate on."""
        return self._split("test")

    def _split(self, name: str) -> Split:
        index = self.splits[name]
        return Split(index, self.grid.factors(index)["shape"].astype(np.int32), partial(rendered, self))

    @property
    def name(self) -> str:
        """The name of the grid after the word "sprites"."""
        return f"sprites {self.grid.name}"

    @property
    def pixel_values(self) -> Float32[np.ndarray, " k"]:
        """-1 around a sprite and 1 on it."""
        return np.array([-1, 1], np.float32)

    @property
    def num_levels(self) -> int:
        """K = 2."""
        return 2

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return (self.grid.side, self.grid.side, 1)

    @property
    def num_dims(self) -> int:
        """D, the number of values in an image."""
        return self.grid.side**2

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the shapes."""
        return self.grid.shapes

    @property
    def num_classes(self) -> int:
        """The number of shapes."""
        return len(self.grid.shapes)

    @cached_property
    def entropy_nats(self) -> float | None:
        """The entropy of an image of the grid: ln of the number of distinct images where all are equally frequent.

        Equal templates are one image. A bound on -log p(x) averages at least this over all images of the grid, but not
        over a part of them: None where the test images are not the whole grid.
        """
        if len(self.splits["test"]) < len(self.grid):
            return None
        _, count = np.unique(self.grid.templates.reshape(self.grid.num_templates, -1), axis=0, return_counts=True)
        p = count / self.grid.num_templates
        return float(2 * np.log(len(self.grid.offsets)) - (p * np.log(p)).sum())

    def levels_of(self, stored: Integer[Array | np.ndarray, " b"]) -> UInt8[Array, "b h w 1"]:
        """The images of these indices as levels, 0 around a sprite and 1 on it; traced into what calls it."""
        return (self.grid.render(jnp.asarray(stored)) > 0).astype(jnp.uint8)

    def take(self, stored: Integer[Array | np.ndarray, " b"]) -> Float[Array, "b h w 1"]:
        """The images of these indices as pixels of ±1; traced into what calls it."""
        return self.grid.render(jnp.asarray(stored))

    @cached_property
    def fingerprint(self) -> str:
        """12 hex digits over the templates, the places and the splits."""
        digest = hashlib.sha256()
        for array in (self.grid.templates, np.asarray(self.grid.offsets), *(self.splits[name] for name in SPLITS)):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:12]

    @cached_property
    def canonical_turn(self) -> Int[np.ndarray, "s r o"]:
        """For each shape, scale and orientation the first orientation with the same image."""
        templates = self.grid.templates.reshape(*self.grid.sizes[:3], -1)
        same = (templates[:, :, :, None] == templates[:, :, None]).all(-1)
        return same.argmax(-1)

    def labels(self, factors: dict[str, Integer[np.ndarray, " n"]]) -> dict[str, Int[np.ndarray, " n"]]:
        """Factor indices made comparable: orientations with the same image are one; coarse places are added."""
        places = len(self.grid.offsets)
        turn = self.canonical_turn[factors["shape"], factors["scale"], factors["orientation"]]
        coarse = {f"coarse {name}": np.asarray(factors[name]) * COARSE // places for name in ("x", "y")}
        return {name: np.asarray(factors[name]) for name in FACTORS} | {"orientation": turn} | coarse

    @property
    def label_sizes(self) -> dict[str, int]:
        """The number of values of each of `labels`."""
        return dict(zip(FACTORS, self.grid.sizes, strict=True)) | {"coarse x": COARSE, "coarse y": COARSE}


def _population(grid: SpriteGrid) -> dict[str, Int[np.ndarray, " n"]]:
    """In a random order, the same in every run, so that the first images of a split represent the whole."""
    everything = np.random.RandomState(0).permutation(len(grid)).astype(np.int32)
    return {name: everything for name in SPLITS}


SPLITTINGS = {"holdout": SpriteGrid.splits, "population": _population}


def make_sprite_data(grid: SpriteGrid, split: str = "holdout") -> SpriteData:
    """split: "holdout" for 80/10/10, the same in every run; "population" for all images in each of the three splits."""
    return SpriteData(grid, choose("data.split", split, SPLITTINGS)(grid))


def rendered(data: SpriteData, index: Integer[np.ndarray, " n"], batch_size: int = 500) -> UInt8[np.ndarray, "n h w 1"]:
    """The images of these indices as levels on the host, one byte a pixel, rendered batch by batch."""
    render = jax.jit(data.levels_of)
    starts = bar("sprites rendered")(range(0, len(index), batch_size))
    parts = [np.asarray(render(index[start : start + batch_size])) for start in starts]
    return np.concatenate(parts) if parts else np.zeros((0, *data.shape), np.uint8)
