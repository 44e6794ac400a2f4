"""`python -m vdm_jax.experiments.weights WORKDIR FOLDER`: the weights of a trained run in half precision, in FOLDER.

FOLDER then holds config.json, data.json, metrics.jsonl and weights.npz. It is a run whose training is done:
`vdm_jax.load(FOLDER)` gives its functions, `--workdir=FOLDER --jobs=encode` encodes the data set again. Results differ
from those of the checkpoint by the rounding of each weight to half precision, at most 1 part in 2,048.
"""

import pathlib
import shutil
import sys

from vdm_jax.base.ending import OneSentence
from vdm_jax.base.errors import UserError
from vdm_jax.experiments.common.checkpoints import step_of
from vdm_jax.experiments.load import load
from vdm_jax.train.half_weights import FILE, write_half

COPIED = ("config.json", "data.json", "metrics.jsonl")


def publish_weights(workdir: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Writes the weights that the config of the run names into `folder`; returns the file. Raises `UserError`."""
    if (folder / "checkpoints").is_dir():
        raise UserError(f"{folder} is the folder of a training; choose another for its weights")
    run = load(workdir)
    settings = run.config.evaluate
    step = step_of(workdir, settings.checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(workdir / name, folder / name)
    write_half(folder / FILE, run.params, step, settings.weights)
    return folder / FILE


def main(argv: list[str]) -> int:
    """Does what the command line asks; returns the exit code."""
    with OneSentence("vdm_jax.experiments.weights") as ending:
        if len(argv) != 3:
            raise UserError("expected two folders: python -m vdm_jax.experiments.weights WORKDIR FOLDER")
        path = publish_weights(*map(pathlib.Path, argv[1:]))
        print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")
    return ending.code


if __name__ == "__main__":
    sys.exit(main(sys.argv))
