"""A data set of images as grey levels, with train, validation and test apart."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Array, Float32, Int32, Integer

from vdm_jax.base.errors import UserError
from vdm_jax.base.pytrees import fingerprint


@dataclass(frozen=True)
class Split:
    """Images as levels 0 … K-1, and their classes where the data set has labels."""

    levels: Integer[np.ndarray, "n h w c"]
    labels: Int32[np.ndarray, " n"] | None

    def __len__(self) -> int:
        return len(self.levels)


@dataclass(frozen=True)
class ImageData:
    """What every source returns. `pixel_values[k]` is the value x_k that the models see for level k."""

    name: str
    train: Split
    validation: Split
    test: Split
    pixel_values: Float32[np.ndarray, " k"]
    label_names: tuple[str, ...]  # () when unlabelled

    @property
    def num_levels(self) -> int:
        return len(self.pixel_values)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.train.levels.shape[1:]

    @property
    def num_dims(self) -> int:
        """D, the number of values in an image."""
        return int(np.prod(self.image_shape))

    @property
    def num_classes(self) -> int:
        """0 when unlabelled."""
        return len(self.label_names)

    def stored(self, split: str) -> Integer[np.ndarray, "n h w c"]:
        """What is kept of each image of "train", "validation" or "test": its levels."""
        return getattr(self, split).levels

    def levels_of(self, stored: Integer[Array | np.ndarray, "b h w c"]) -> Integer[Array | np.ndarray, "b h w c"]:
        """The levels of images `stored`: themselves. `SpriteData` renders them here."""
        return stored

    def fingerprint(self) -> str:
        """12 hex digits over the levels, the labels and the pixel values of all splits."""
        splits = {name: vars(getattr(self, name)) for name in ("train", "validation", "test")}
        return fingerprint({"pixel_values": self.pixel_values, **splits})


def smallest_dtype(num_levels: int) -> type[np.unsignedinteger]:
    """uint8 up to 256 levels, uint16 beyond."""
    return np.uint8 if num_levels <= 256 else np.uint16


def stratified_parts(labels: Integer[np.ndarray, " n"], sizes: tuple[int, ...], seed: int) -> list[np.ndarray]:
    """Disjoint index arrays of the given sizes, each in ascending order, every class spread evenly over them.

    Member j of a class of n is placed at the quantile (j + ½) / n, after a shuffle within the class; the parts are
    consecutive pieces of all images in the order of their quantiles, hence a part's share of any class is the
    part's share of the whole to within two images. `RandomState` is used because its stream never changes.
    """
    random = np.random.RandomState(seed)
    shuffled = random.permutation(len(labels))
    quantiles = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        quantiles[members] = (np.arange(len(members)) + 0.5) / len(members)
    in_order = shuffled[np.argsort(quantiles[shuffled], kind="stable")]
    return [np.sort(part) for part in np.split(in_order, np.cumsum(sizes))[: len(sizes)]]


def downsampled(data: ImageData, factor: int) -> ImageData:
    """The same data set with `factor` x `factor` squares averaged and rounded back to a level (½ upwards)."""
    height, width, channels = data.image_shape
    if factor < 1 or height % factor or width % factor:
        raise UserError(f"downsample={factor} does not divide the {height}x{width} images of {data.name!r}")

    def pool(split: Split) -> Split:
        squares = split.levels.reshape(-1, height // factor, factor, width // factor, factor, channels)
        mean = (squares.sum((2, 4), dtype=np.int64) + factor**2 // 2) // factor**2
        return replace(split, levels=mean.astype(split.levels.dtype))

    parts = {name: pool(getattr(data, name)) for name in ("train", "validation", "test")}
    return replace(data, name=f"{data.name}/{factor}", **parts)
