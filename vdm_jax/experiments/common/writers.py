"""The writers that `config.train.writers` names: of a training's rows, and of the pictures of samples."""

import pathlib

import jax
import numpy as np
from matplotlib.image import imread
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.launch.settings import plain
from vdm_jax.train.writers import Writers, WritersLog, check_installed, names_of


def open_log(config: ConfigDict, workdir: pathlib.Path) -> WritersLog:
    """`metrics.jsonl` of a training, whose rows also go to the writers; those are of the first process alone."""
    return WritersLog(workdir / "metrics.jsonl", _writers(config, workdir), plain(config))


def check_writers(config: ConfigDict) -> None:
    """Raises `UserError` where a writer is not installed."""
    check_installed(_setting(config))


def show_samples(config: ConfigDict, folder: pathlib.Path, step: int) -> None:
    """Gives the pictures in `folder` (samples/) to the writers that are installed, at the step of the checkpoint."""
    try:
        check_writers(config)
    except UserError as error:  # sampling needs none
        print(f"sample: {error}", flush=True)
        return
    writers = _writers(config, folder.parent)
    pictures = {path.stem: _read(path) for path in sorted(folder.glob("*.png"))}
    writers.each(lambda writer: writer.pictures(step, pictures))
    writers.each(lambda writer: writer.close(False))


def _writers(config: ConfigDict, workdir: pathlib.Path) -> Writers:
    return Writers(names_of(_setting(config)) if jax.process_index() == 0 else [], workdir)


def _setting(config: ConfigDict) -> str:
    """`train.writers`; older files lack it."""
    return config.train.get("writers", "")


def _read(path: pathlib.Path) -> np.ndarray:
    """A PNG as uint8 [H, W, C], without its transparency."""
    pixels = np.atleast_3d(imread(path))[..., :3]
    return np.rint(255 * pixels).astype(np.uint8)
