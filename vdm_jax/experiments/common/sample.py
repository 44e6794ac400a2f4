"""The sampling job of every kind, and what its sets of images are saved by."""

import pathlib
import shutil
from collections.abc import Callable

import numpy as np
from jaxtyping import PyTree, UInt8
from ml_collections import ConfigDict

from vdm_jax.base.files import write_json, write_npz
from vdm_jax.base.image_files import ARRAY, write_png
from vdm_jax.base.images import page_size, picture
from vdm_jax.base.provenance import provenance
from vdm_jax.base.pytrees import fingerprint
from vdm_jax.data.dataset import Dataset
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.prior_images import PARTS, open_parts
from vdm_jax.launch import store as workdirs
from vdm_jax.train.writers import show_pictures

CHAIN_POINTS = 10

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
    of = {"checkpoint_step": weights.step, "weights": weights.kind}
    open_parts(about.parent / PARTS, of | {"fingerprint": fingerprint(weights.params)})
    draw(experiment, weights.params, about.parent)
    settings = workdirs.plain(experiment.config)
    origin = provenance() | {"data": experiment.data.fingerprint}
    write_json(about, of | {"settings": settings, "provenance": origin})
    show_pictures(experiment.config.train.get("writers", ""), workdir, about.parent, weights.step)
    shutil.rmtree(about.parent / PARTS)
    return "done"


def chain_points(num_steps: int) -> tuple[int, ...]:
    """At most `CHAIN_POINTS` points of a grid of `num_steps` steps, both ends among them."""
    return tuple(np.unique(np.linspace(0, num_steps, CHAIN_POINTS).round().astype(int)).tolist())


def number_shown(config: ConfigDict, data: Dataset) -> int:
    """The number of images of the sets that are only looked at: a page, or `config.sample.num_images` if that is
    smaller."""
    return min(config.num_images, page_size(*data.shape)[0])


def save_page(folder: pathlib.Path, name: str, images: UInt8[np.ndarray, "n h w c"]) -> None:
    """NAME.npz and NAME.png of a set of at most a page of images."""
    save(folder, name, images, page_size(*images.shape[1:])[1], **{ARRAY: images})


def save(
    folder: pathlib.Path, name: str, rows: UInt8[np.ndarray, "..."], num_columns: int, **arrays: np.ndarray
) -> None:
    """NAME.npz with the arrays, NAME.png with the images of `rows` [..., H, W, C], row by row."""
    write_npz(folder / f"{name}.npz", arrays)
    write_png(folder / f"{name}.png", picture(rows.reshape(-1, *rows.shape[-3:]), num_columns))
