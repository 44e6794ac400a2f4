"""Grids of images. Each image pixel is a whole number of figure pixels, so that grids are sharp and even."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Real, UInt8
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from vdm_jax.base.images import CELL, enlargement, image_grid, page_size
from vdm_jax.report.primitives.style import DPI, INK

HEADER = 44  # height of the column names in figure pixels
MARGIN = 190  # smallest width of the row names in figure pixels
TEXT = 8.5  # size of the names in points


def grid_figure(images: UInt8[np.ndarray, "n h w c"], *, num_columns: int | None = None) -> Figure:
    """Images, row by row; by default in the columns of a page."""
    columns = num_columns or page_size(*images.shape[1:])[1]
    return _side_by_side([_block(images, columns)], scale=_scale(images))


def guided_figure(
    source: UInt8[np.ndarray, "n h w c"], generated: UInt8[np.ndarray, "n k h w c"], given: str = "code"
) -> Figure:
    """One row for each source image: the source, then k images generated from its code, or from what is `given`."""
    n, k, *shape = generated.shape
    blocks = [_block(source, 1), _block(generated.reshape(n * k, *shape), k)]
    return _side_by_side(blocks, scale=_scale(source), headers=[["source"], [f"generated from its {given}"]])


def chain_figure(
    source: UInt8[np.ndarray, "n h w c"], chain: UInt8[np.ndarray, "n s h w c"], times: Real[np.ndarray, " s"]
) -> Figure:
    """One row for each source image: the source, then the images along the sampler's chain under their times t."""
    n, s, *shape = chain.shape
    blocks = [_block(source, 1), _block(chain.reshape(n * s, *shape), s)]
    headers = [["source"], [f"t = {t:.2f}" for t in times]]
    return _side_by_side(blocks, scale=_scale(source), headers=headers)


def path_figure(path: UInt8[np.ndarray, "n s h w c"], times: Real[np.ndarray, " s"]) -> Figure:
    """One row for each image: z_t along the sampler's path under its times t."""
    n, s, *shape = path.shape
    block = _block(path.reshape(n * s, *shape), s)
    return _side_by_side([block], scale=_scale(path[0]), headers=[[f"t = {t:.2f}" for t in times]])


def pairs_figure(
    above: UInt8[np.ndarray, "n h w c"], below: UInt8[np.ndarray, "n h w c"], names: Sequence[str]
) -> Figure:
    """Two images of each pair, one above the other, in the columns of a page; `names` are those of the two rows."""
    columns = min(len(above), page_size(*above.shape[1:])[1])
    number = len(above) // columns * columns
    rows = [image[:number].reshape(-1, 1, columns, *image.shape[1:]) for image in (above, below)]
    mixed = np.concatenate(rows, axis=1).reshape(-1, columns, *above.shape[1:])
    return rows_figure(mixed, row_names=list(names) * (number // columns))


def rows_figure(
    images: UInt8[np.ndarray, "n k h w c"], *, row_names: Sequence[str] = (), column_names: Sequence[str] = ()
) -> Figure:
    """N rows of K images, under the names of the columns and beside the names of the rows."""
    n, k, *shape = images.shape
    block = _block(images.reshape(n * k, *shape), k)
    headers = [list(column_names)] if column_names else None
    return _side_by_side([block], scale=_scale(images[0]), headers=headers, row_names=row_names)


def between_figure(
    first: UInt8[np.ndarray, "n h w c"], between: UInt8[np.ndarray, "n s h w c"], last: UInt8[np.ndarray, "n h w c"]
) -> Figure:
    """One row for each pair: an image, the images from the one to the other, the other image."""
    n, s, *shape = between.shape
    blocks = [_block(first, 1), _block(between.reshape(n * s, *shape), s), _block(last, 1)]
    headers = [["image a"], [f"{share:.2f}" for share in np.linspace(0, 1, s)], ["image b"]]
    return _side_by_side(blocks, scale=_scale(first), headers=headers)


def heat_map_figure(source: UInt8[np.ndarray, "n h w c"], maps: Real[np.ndarray, "n a b k"]) -> Figure:
    """One row for each image: the image, then the K channels of its latents, red above and blue below zero. The colours
    of a channel end at its largest absolute value."""
    size = source.shape[1:3]
    scaled = maps / np.maximum(np.abs(maps).max(axis=(0, 1, 2)), np.finfo(np.float32).tiny)
    coloured = colormaps["RdBu_r"]((1 + np.moveaxis(scaled, -1, 1)) / 2, bytes=True)[..., :3]  # [N, K, a, b, 3]
    for axis in (0, 1):
        coloured = coloured.repeat(max(1, size[axis] // maps.shape[1 + axis]), axis=2 + axis)
    blocks = [_block(source, 1), _block(coloured.reshape(-1, *coloured.shape[2:]), maps.shape[-1])]
    headers = [["image"], [f"channel {i}" for i in range(maps.shape[-1])]]
    return _side_by_side(blocks, scale=_scale(source), headers=headers)


def _scale(images: np.ndarray) -> int:
    return enlargement(*images.shape[1:3])


def _block(images: np.ndarray, num_columns: int) -> np.ndarray:
    """Images of any number of channels as RGB bytes."""
    grid = image_grid(images, num_columns)
    return grid if grid.shape[-1] == 3 else grid.repeat(3, axis=-1)


def _width(name: str) -> int:
    """Width of a name in figure pixels."""
    return math.ceil(TextPath((0, 0), name, size=TEXT).get_extents().width * DPI / 72)


def _side_by_side(
    blocks: list[np.ndarray], *, scale: int, headers: list[list[str]] | None = None, row_names: Sequence[str] = ()
) -> Figure:
    """Blocks of equal height from left to right, with evenly spaced headers above each block, and names of the rows at
    the left."""
    widths = [block.shape[1] * scale for block in blocks]
    top = HEADER if headers else 0
    height, gap = blocks[0].shape[0] * scale + top, CELL // 4
    margin = max(MARGIN, gap * 3 // 4 + max(map(_width, row_names))) if row_names else 0
    width = margin + sum(widths) + gap * (len(blocks) - 1)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    look = dict(va="center", fontsize=TEXT, color=INK)
    for i, name in enumerate(row_names):
        y = (1 - (i + 0.5) / len(row_names)) * (height - top) / height
        figure.text((margin - gap / 2) / width, y, name, ha="right", **look)
    left = margin
    for i, block in enumerate(blocks):
        axes = figure.add_axes((left / width, 0, widths[i] / width, (height - top) / height))
        axes.imshow(block, interpolation="nearest", vmin=0, vmax=1, aspect="auto")
        axes.set_axis_off()
        names = headers[i] if headers else []
        for j, name in enumerate(names):
            x = left + (j + 0.5) / len(names) * widths[i]
            figure.text(x / width, 1 - 0.5 * top / height, name, ha="center", **look)
        left += widths[i] + gap
    return figure
