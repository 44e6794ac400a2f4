"""Sprites as a data set to train on: a split is factor indices, and images are rendered where they are asked for."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int, Integer, UInt8

from vdm_jax.data.sprites import FACTORS, SpriteGrid

COARSE = 4  # parts of the axes x and y in which a coarse place is counted


@dataclass(frozen=True)
class SpriteData:
    """What of `ImageData` a training needs, without the images: `stored(split)` are indices, 4 bytes an image."""

    grid: SpriteGrid
    splits: dict[str, Int[np.ndarray, " n"]]

    @property
    def name(self) -> str:
        return f"sprites {self.grid.name}"

    @property
    def pixel_values(self) -> Float32[np.ndarray, " k"]:
        return np.array([-1, 1], np.float32)

    @property
    def num_levels(self) -> int:
        return 2

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return (self.grid.side, self.grid.side, 1)

    def stored(self, split: str) -> Int[np.ndarray, " n"]:
        """What is kept of each image of "train", "validation" or "test": its index."""
        return self.splits[split]

    def levels_of(self, stored: Integer[Array, " b"]) -> UInt8[Array, "b h w 1"]:
        """The images as levels, 0 around a sprite and 1 on it; compiled with what calls it."""
        return (self.grid.render(stored) > 0).astype(jnp.uint8)

    def fingerprint(self) -> str:
        """12 hex digits over the templates, the places and the splits."""
        digest = hashlib.sha256()
        for array in (self.grid.templates, np.asarray(self.grid.offsets), *self.splits.values()):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:12]

    @cached_property
    def canonical_turn(self) -> Int[np.ndarray, "s r o"]:
        """The first orientation that looks like this one, for each shape, scale and orientation."""
        templates = self.grid.templates.reshape(*self.grid.sizes[:3], -1)
        same = (templates[:, :, :, None] == templates[:, :, None]).all(-1)
        return same.argmax(-1)

    def labels(self, factors: dict[str, Integer[np.ndarray, " n"]]) -> dict[str, Int[np.ndarray, " n"]]:
        """Factor indices made comparable: turns that look the same are one, and the coarse places stand beside."""
        places = len(self.grid.offsets)
        turn = self.canonical_turn[factors["shape"], factors["scale"], factors["orientation"]]
        coarse = {f"coarse {name}": np.asarray(factors[name]) * COARSE // places for name in ("x", "y")}
        return {name: np.asarray(factors[name]) for name in FACTORS} | {"orientation": turn} | coarse

    @property
    def label_sizes(self) -> dict[str, int]:
        """How many values each of `labels` has."""
        return dict(zip(FACTORS, self.grid.sizes, strict=True)) | {"coarse x": COARSE, "coarse y": COARSE}


def make_sprite_data(grid: SpriteGrid) -> SpriteData:
    """The grid, split 80/10/10 the same way in every run."""
    return SpriteData(grid, grid.splits())


def rendered(data: SpriteData, index: Integer[np.ndarray, " n"], batch_size: int = 500) -> UInt8[np.ndarray, "n h w 1"]:
    """The images of these indices as levels on the host, one byte a pixel, batch by batch."""
    render = jax.jit(data.levels_of)
    parts = [np.asarray(render(index[start : start + batch_size])) for start in range(0, len(index), batch_size)]
    return np.concatenate(parts) if parts else np.zeros((0, *data.image_shape), np.uint8)
