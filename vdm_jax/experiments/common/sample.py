"""The sampling job: images from the prior, from the codes of test images, and the way there."""

import pathlib
from collections.abc import Callable

import jax
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import PyTree, UInt8

from vdm_jax.base.files import write_file, write_json, write_npz
from vdm_jax.base.images import image_grid, to_unit
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.base.provenance import provenance
from vdm_jax.data.dataset import Split
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.vae_vdm.codes import encode_all, prior_codes, sample_codes
from vdm_jax.launch import store as workdirs
from vdm_jax.models.generate import generate

CHAIN_POINTS = 10
GRID_COLUMNS = 8
PIXELS_A_VALUE = 4  # of the PNGs

Bytes = UInt8[np.ndarray, "..."]


def sample(
    experiment: Experiment,
    workdir: pathlib.Path,
    *,
    draws: Callable[[Experiment, PyTree, pathlib.Path], None] | None = None,
) -> str:
    """Writes `samples/NAME.npz` and a picture of each, and at last `samples/about.json`; returns "done".

    `real` and `prior` (w ~ p(w)); with an encoder also `aggregate` (w ~ q(w | x) of test images), `guided` (test
    images, and several generations from the code of each) and `chain` (z_t on the way to one of these). Another kind's
    `draws(experiment, params, folder)` saves its own sets.
    """
    config = experiment.config.sample
    weights = load_weights(workdir, experiment.model, experiment.config)
    print(
        f"sample: step {weights.step}, {weights.kind} weights, {config.num_steps} steps of {config.sampler}", flush=True
    )
    about = workdir / "samples" / "about.json"
    about.unlink(missing_ok=True)  # it would speak of what is about to be replaced
    (draws or draw)(experiment, weights.params, about.parent)
    settings = workdirs.plain(experiment.config)
    origin = provenance() | {"data": experiment.data.fingerprint}
    told = {"checkpoint_step": weights.step, "weights": weights.kind, "settings": settings, "provenance": origin}
    write_json(about, told)
    return "done"


def draw(experiment: Experiment, params: PyTree, folder: pathlib.Path) -> None:
    """Draws and saves each of the sets of images there are."""
    config, data, model = experiment.config.sample, experiment.data, experiment.model
    key = jax.random.key(config.seed)

    def make(name: str, w: np.ndarray, keep: tuple[int, ...] | None = None):
        bar_of_it = bar(f"sample: {name}")
        return generate(model, params, named_key(key, name), w, config, keep=keep, progress=bar_of_it)

    def codes_of(name: str, levels: np.ndarray) -> np.ndarray:
        moments = encode_all(model, params, levels, experiment.config.evaluate.batch_size)
        return sample_codes(named_key(key, f"{name}_codes"), *moments)

    def save_grid(name: str, levels: np.ndarray) -> None:
        images = to_bytes(to_unit(levels, data.num_levels))
        save(folder, name, images, GRID_COLUMNS, images=images)

    shown = data.test.levels[: config.num_images]
    save_grid("real", shown)
    from_prior = prior_codes(model, params, named_key(key, "prior_codes"), config.num_images)
    save_grid("prior", make("prior", from_prior))
    if model.encoder is None:
        return
    save_grid("aggregate", make("aggregate", codes_of("aggregate", shown)))

    levels = data.test.levels[one_of_each(data.test, config.guided_sources)]
    w = np.repeat(codes_of("guided", levels), config.guided_per_source, axis=0)
    keep = tuple(np.unique(np.linspace(0, config.num_steps, CHAIN_POINTS).round().astype(int)).tolist())
    made, chain, times = make("guided", w, keep)
    source, made = (to_bytes(to_unit(images, data.num_levels)) for images in (levels, made))
    generated = made.reshape(len(levels), config.guided_per_source, *data.shape)
    rows = np.concatenate([source[:, None], generated], axis=1)
    save(folder, "guided", rows, rows.shape[1], source=source, generated=generated)
    low, high = data.pixel_values[[0, -1]]
    chain = to_bytes((chain[:: config.guided_per_source] - low) / (high - low))
    rows = np.concatenate([source[:, None], chain], axis=1)
    save(folder, "chain", rows, rows.shape[1], source=source, chain=chain, times=times)


def one_of_each(split: Split, num_images: int) -> np.ndarray:
    """Indices of the first image of each class in turn, then of the second ones, …; without labels the first images."""
    if split.labels is None:
        return np.arange(min(num_images, len(split)))
    turn = np.array([(split.labels[:i] == label).sum() for i, label in enumerate(split.labels)])
    return np.lexsort((split.labels, turn))[:num_images]


def to_bytes(images: np.ndarray) -> Bytes:
    """[0, 1] to 0 … 255; what a noisy z has outside is clipped."""
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)


def save(folder: pathlib.Path, name: str, rows: Bytes, num_columns: int, **arrays: np.ndarray) -> None:
    """NAME.npz with the arrays, NAME.png with the images of `rows` [..., H, W, C], row by row."""
    write_npz(folder / f"{name}.npz", arrays)
    flat = rows.reshape(-1, *rows.shape[-3:]).astype(np.float32) / 255
    grid = image_grid(flat, num_columns).repeat(PIXELS_A_VALUE, axis=0).repeat(PIXELS_A_VALUE, axis=1)
    grid = grid[..., 0] if grid.shape[-1] == 1 else grid
    write_file(folder / f"{name}.png", lambda file: plt.imsave(file, grid, cmap="gray", vmin=0, vmax=1, format="png"))
