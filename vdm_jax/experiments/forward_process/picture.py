"""One image of any size: read from a file, and noised in bands of rows, so that memory holds no noise of all of it."""

from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from vdm_jax.base.errors import UserError
from vdm_jax.base.images import even_pixel_values, pixels_to_bytes
from vdm_jax.base.keys import fold_in, named_key
from vdm_jax.data.folder import read_header, read_image
from vdm_jax.diffusion.gaussian import alpha_sigma

BAND = 2**21  # values that are noised at once, about
MOST_PIXELS = 2**27  # of a file: 134 megapixels
LEVELS = 256

Bytes = UInt8[np.ndarray, "h w c"]


def read_picture(path: Path) -> Bytes:
    """The image of a file, upright, on white, grey or in colour. Raises `UserError` where it cannot be read."""
    try:
        header = read_header(path)
        if (number := int(np.prod(header.size))) > MOST_PIXELS:
            raise UserError(f"{path} has {number:,} pixels; expected an image of at most {MOST_PIXELS:,}")
        if header.deep:
            raise UserError(f"{path} has more than 8 bits a channel; save it with 8")
        return read_image(path, None, "center", 1 if header.grey else 3)
    except UserError:
        raise
    except Exception as error:  # Pillow's plugins raise errors of many classes
        told = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(f"{path} cannot be read as an image ({told}); name a PNG, JPEG or WebP file") from error


def noised_bands(
    image: Bytes, gamma: float, key: Key[Array, ""], band: int = BAND
) -> Iterator[tuple[slice, Float[np.ndarray, "r w c"]]]:
    """(rows, z_t of these rows) from the top, z_t = alpha x + sigma eps with pixels of 256 levels in ±(1 - 1/256).

    Each row draws noise from a key of its own: z_t does not depend on the size of a band, and one key gives one eps at
    all gammas.
    """
    height, *rest = image.shape
    rows = min(height, max(1, band // int(np.prod(rest))))
    key = named_key(key, "eps")
    for first in range(0, height, rows):
        index = np.minimum(np.arange(first, first + rows), height - 1)  # the last band has as many rows as the others
        z = np.asarray(_noised_rows(image[index], jnp.asarray(index), jnp.float32(gamma), key))
        yield slice(first, min(first + rows, height)), z[: height - first]


@jax.jit
def _noised_rows(levels, index, gamma, key):
    x = jnp.asarray(even_pixel_values(LEVELS))[levels]
    alpha, sigma = alpha_sigma(gamma)
    eps = jax.vmap(lambda row: jax.random.normal(fold_in(key, row), levels.shape[1:]))(index)
    return alpha * x + sigma * eps


def noised_picture(image: Bytes, gamma: float, key: Key[Array, ""], band: int = BAND) -> Bytes:
    """z_t as bytes, clipped to the range of pixels, of the size of the image."""
    found, values = np.empty_like(image), even_pixel_values(LEVELS)
    for rows, z in noised_bands(image, gamma, key, band):
        found[rows] = pixels_to_bytes(z, values)
    return found


def reduced(image: Bytes, side: int) -> UInt8[np.ndarray, "a b c"]:
    """The image with a longer side of at most `side` pixels: means of blocks, which also average noise."""
    from PIL import Image

    height, width, channels = image.shape
    if max(height, width) <= side:
        return image
    size = [max(1, round(length * side / max(height, width))) for length in (width, height)]
    drawn = Image.fromarray(image[..., 0] if channels == 1 else image).resize(size, Image.Resampling.BOX)
    return np.asarray(drawn, np.uint8).reshape(size[1], size[0], channels)


def middle(image: Bytes, side: int) -> UInt8[np.ndarray, "a b c"]:
    """The square of at most `side` pixels in the middle of the image, pixel for pixel."""
    top, left = (max(0, (length - side) // 2) for length in image.shape[:2])
    return image[top : top + side, left : left + side]
