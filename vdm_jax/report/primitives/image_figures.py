"""Grids of images. Each image pixel is a whole number of figure pixels, so that grids are sharp and even."""

import numpy as np
from jaxtyping import Real, UInt8
from matplotlib.figure import Figure

from vdm_jax.base.images import CELL, enlargement, image_grid, page_size
from vdm_jax.report.primitives.style import DPI, INK

HEADER = 44  # height of the column names in figure pixels


def grid_figure(images: UInt8[np.ndarray, "n h w c"], *, num_columns: int | None = None) -> Figure:
    """Images, row by row; by default in the columns of a page."""
    columns = num_columns or page_size(*images.shape[1:])[1]
    return _side_by_side([_block(images, columns)], scale=_scale(images))


def guided_figure(source: UInt8[np.ndarray, "n h w c"], generated: UInt8[np.ndarray, "n k h w c"]) -> Figure:
    """One row for each source image: the source, then k images generated from its code."""
    n, k, *shape = generated.shape
    blocks = [_block(source, 1), _block(generated.reshape(n * k, *shape), k)]
    return _side_by_side(blocks, scale=_scale(source), headers=[["source"], ["generated from its code"]])


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


def _scale(images: np.ndarray) -> int:
    return enlargement(*images.shape[1:3])


def _block(images: np.ndarray, num_columns: int) -> np.ndarray:
    """Images of any number of channels as RGB bytes."""
    grid = image_grid(images, num_columns)
    return grid if grid.shape[-1] == 3 else grid.repeat(3, axis=-1)


def _side_by_side(blocks: list[np.ndarray], *, scale: int, headers: list[list[str]] | None = None) -> Figure:
    """Blocks of equal height from left to right, with evenly spaced headers above each block."""
    widths = [block.shape[1] * scale for block in blocks]
    top = HEADER if headers else 0
    height, gap = blocks[0].shape[0] * scale + top, CELL // 4
    width = sum(widths) + gap * (len(blocks) - 1)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    left = 0
    for i, block in enumerate(blocks):
        axes = figure.add_axes((left / width, 0, widths[i] / width, (height - top) / height))
        axes.imshow(block, interpolation="nearest", vmin=0, vmax=1, aspect="auto")
        axes.set_axis_off()
        names = headers[i] if headers else []
        for j, name in enumerate(names):
            x = left + (j + 0.5) / len(names) * widths[i]
            figure.text(x / width, 1 - 0.5 * top / height, name, ha="center", va="center", fontsize=8.5, color=INK)
        left += widths[i] + gap
    return figure
