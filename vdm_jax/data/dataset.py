"""The `Dataset` protocol, its `Split`, and `ImageData`, the images of a file or a folder as pixel levels."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Float32, Int32, Integer

from vdm_jax.base.errors import UserError
from vdm_jax.base.images import to_pixels
from vdm_jax.base.pytrees import fingerprint
from vdm_jax.data.sprites import SpriteGrid

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Images of one split, and their classes where the data set has labels.

    stored: the levels 0 … K-1 themselves, [N, H, W, C], or indices [N] that `render` makes levels of.
    """

    stored: Integer[np.ndarray, "n ..."]
    labels: Int32[np.ndarray, " n"] | None
    render: Callable[[Integer[np.ndarray, " n"]], Integer[np.ndarray, "n h w c"]] | None = None

    def __len__(self) -> int:
        return len(self.stored)

    @cached_property
    def levels(self) -> Integer[np.ndarray, "n h w c"]:
        """The images on the host; rendered once where indices are stored."""
        return self.stored if self.render is None else self.render(self.stored)

    def first(self, num_images: int) -> "Split":
        """The first `num_images` (0: all)."""
        size = num_images or None
        return replace(self, stored=self.stored[:size], labels=None if self.labels is None else self.labels[:size])


@runtime_checkable
class Dataset(Protocol):
    """Images with train, validation and test apart. `ImageData` and `SpriteData` satisfy it.

    shape: (H, W, C). fingerprint: 12 hex digits of the content. pixel_values: [K], the value that models see for each
    level. label_names: () without labels. entropy_nats: the entropy of a test image where the distribution is known.
    grid: the factors and templates of sprites; None for other images.
    """

    train: Split
    validation: Split
    test: Split

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> tuple[int, int, int]: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def pixel_values(self) -> Float32[np.ndarray, " k"]: ...

    @property
    def num_levels(self) -> int: ...

    @property
    def num_dims(self) -> int: ...

    @property
    def label_names(self) -> tuple[str, ...]: ...

    @property
    def num_classes(self) -> int: ...

    @property
    def entropy_nats(self) -> float | None: ...

    @property
    def grid(self) -> SpriteGrid | None: ...

    def levels_of(self, stored: Integer[Array | np.ndarray, "b ..."]) -> Integer[Array | np.ndarray, "b h w c"]:
        """The levels of `Split.stored` images; traced into what calls it."""
        ...

    def take(self, stored: Integer[Array | np.ndarray, "b ..."]) -> Float[Array, "b h w c"]:
        """The pixels that models see of `Split.stored` images; traced into what calls it."""
        ...


@dataclass(frozen=True)
class ImageData:
    """A data set whose images are held as levels. `pixel_values[k]` is the value x_k that models see for level k."""

    name: str
    train: Split
    validation: Split
    test: Split
    pixel_values: Float32[np.ndarray, " k"]
    label_names: tuple[str, ...]  # () when unlabelled
    notes: tuple[str, ...] = ()  # what is odd about the data or was not read, said before a job
    known_fingerprint: str = ""  # that of the data whose labels were put together, all images kept

    @property
    def num_levels(self) -> int:
        """K."""
        return len(self.pixel_values)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.train.stored.shape[1:]

    @property
    def num_dims(self) -> int:
        """D, the number of values in an image."""
        return int(np.prod(self.shape))

    @property
    def num_classes(self) -> int:
        """0 when unlabelled."""
        return len(self.label_names)

    @property
    def entropy_nats(self) -> None:
        """The entropy of photographs is not known."""
        return None

    @property
    def grid(self) -> None:
        """These images are no sprites."""
        return None

    def levels_of(self, stored: Integer[Array | np.ndarray, "b h w c"]) -> Integer[Array | np.ndarray, "b h w c"]:
        """The levels of stored images: the identity. `SpriteData` renders them here."""
        return stored

    def take(self, stored: Integer[Array | np.ndarray, "b h w c"]) -> Float[Array, "b h w c"]:
        """The pixels that models see of stored images."""
        return to_pixels(stored, self.pixel_values)

    @cached_property
    def fingerprint(self) -> str:
        """12 hex digits over the levels, the labels and the pixel values of all splits."""
        if self.known_fingerprint:
            return self.known_fingerprint
        splits = {name: getattr(self, name) for name in SPLITS}
        content = {name: {"levels": split.stored, "labels": split.labels} for name, split in splits.items()}
        return fingerprint({"pixel_values": self.pixel_values, **content})


def smallest_dtype(num_levels: int) -> type[np.unsignedinteger]:
    """uint8 up to 256 levels, uint16 beyond."""
    return np.uint8 if num_levels <= 256 else np.uint16


def stratified_parts(labels: Integer[np.ndarray, " n"], sizes: tuple[int, ...], seed: int) -> list[np.ndarray]:
    """Disjoint index arrays of the given sizes, each in ascending order, with every class spread evenly over them.

    Member j of a class of n is placed at the quantile (j + ½) / n, after a shuffle within the class. The parts are
    consecutive pieces of all images in the order of their quantiles, so that a part's share of any class is its share
    of the whole to within two images. `RandomState` is used because its stream never changes.
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
    """The same data set with `factor` x `factor` squares averaged and rounded to a level (½ upwards).

    Raises `UserError` for a factor that does not divide the sides.
    """
    height, width, channels = data.shape
    if factor < 1 or height % factor or width % factor:
        raise UserError(f"downsample={factor} does not divide the {height}x{width} images of {data.name!r}")

    def pool(split: Split) -> Split:
        squares = split.levels.reshape(-1, height // factor, factor, width // factor, factor, channels)
        mean = (squares.sum((2, 4), dtype=np.int64) + factor**2 // 2) // factor**2
        return replace(split, stored=mean.astype(split.levels.dtype))

    parts = {name: pool(getattr(data, name)) for name in SPLITS}
    return replace(data, name=f"{data.name}/{factor}", **parts, known_fingerprint="")
