"""The sampling job of every kind, and what its sets of images are saved by."""

import pathlib
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Integer, PyTree, UInt8
from matplotlib.image import imsave  # pyplot would start the backend that the user has chosen

from vdm_jax.base.files import write_file, write_json, write_npz
from vdm_jax.base.images import image_grid, to_unit
from vdm_jax.base.provenance import provenance
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.writers import show_samples
from vdm_jax.launch import store as workdirs

CHAIN_POINTS = 10
GRID_COLUMNS = 8
PIXELS_A_VALUE = 4  # of the PNGs

Bytes = UInt8[np.ndarray, "..."]
Draw = Callable[[Experiment, PyTree, pathlib.Path], None]
"""`draw(experiment, params, folder)` saves the sets of images of a kind."""


def sample(experiment: Experiment, workdir: pathlib.Path, *, draw: Draw) -> str:
    """Writes `samples/NAME.npz` and a picture of each set that `draw` makes, and last `samples/about.json`; returns
    "done"."""
    config = experiment.config.sample
    weights = load_weights(workdir, experiment.model, experiment.config)
    print(
        f"sample: step {weights.step}, {weights.kind} weights, {config.num_steps} steps of {config.sampler}", flush=True
    )
    about = workdir / "samples" / "about.json"
    about.unlink(missing_ok=True)  # it describes files that are about to be replaced
    draw(experiment, weights.params, about.parent)
    settings = workdirs.plain(experiment.config)
    origin = provenance() | {"data": experiment.data.fingerprint}
    record = {"checkpoint_step": weights.step, "weights": weights.kind, "settings": settings, "provenance": origin}
    write_json(about, record)
    show_samples(experiment.config, about.parent, weights.step)
    return "done"


def chain_points(num_steps: int) -> tuple[int, ...]:
    """At most `CHAIN_POINTS` points of a grid of `num_steps` steps, both ends among them."""
    return tuple(np.unique(np.linspace(0, num_steps, CHAIN_POINTS).round().astype(int)).tolist())


def levels_to_bytes(levels: Integer[np.ndarray, "..."], num_levels: int) -> Bytes:
    """Levels 0 … K-1 to 0 … 255."""
    return _to_bytes(to_unit(levels, num_levels))


def pixels_to_bytes(pixels: Float[np.ndarray, "..."], pixel_values: Float[np.ndarray, " k"]) -> Bytes:
    """Pixels, or a noisy z, to 0 … 255; values outside the range are clipped."""
    low, high = pixel_values[[0, -1]]
    return _to_bytes((pixels - low) / (high - low))


def _to_bytes(images: np.ndarray) -> Bytes:
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)


def save_grid(folder: pathlib.Path, name: str, levels: Integer[np.ndarray, "n h w c"], num_levels: int) -> None:
    """NAME.npz and NAME.png of a set of images."""
    images = levels_to_bytes(levels, num_levels)
    save(folder, name, images, GRID_COLUMNS, images=images)


def save(folder: pathlib.Path, name: str, rows: Bytes, num_columns: int, **arrays: np.ndarray) -> None:
    """NAME.npz with the arrays, NAME.png with the images of `rows` [..., H, W, C], row by row."""
    write_npz(folder / f"{name}.npz", arrays)
    flat = rows.reshape(-1, *rows.shape[-3:]).astype(np.float32) / 255
    grid = image_grid(flat, num_columns).repeat(PIXELS_A_VALUE, axis=0).repeat(PIXELS_A_VALUE, axis=1)
    grid = grid[..., 0] if grid.shape[-1] == 1 else grid
    write_file(folder / f"{name}.png", lambda file: imsave(file, grid, cmap="gray", vmin=0, vmax=1, format="png"))
