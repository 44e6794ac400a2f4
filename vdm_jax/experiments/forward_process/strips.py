"""The job `strips`: one picture under growing noise, by schedule, whole and pixel for pixel."""

import pathlib

import jax
import numpy as np

from vdm_jax.base.files import write_json, write_npz
from vdm_jax.base.images import write_png
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.diffusion.timesteps import gammas_at
from vdm_jax.experiments.forward_process.build import ForwardExperiment
from vdm_jax.experiments.forward_process.origin import origin
from vdm_jax.experiments.forward_process.picture import middle, noised_picture, reduced

RECORD, ARRAYS, FOLDER = "strips.json", "strips.npz", "strips"


def strips(experiment: ForwardExperiment, workdir: pathlib.Path) -> str:
    """Writes `strips.json`, the strips in `strips.npz` and with `strips.full_size` each z_t as PNG; returns "done".

    Times are evenly spaced from 0 to T. All schedules and times share one eps. The picture is noised in its own size.
    """
    config, picture = experiment.config.strips, experiment.picture
    num_steps = experiment.config.schedules.num_steps
    steps = np.unique(np.linspace(0, num_steps, config.num_times).round().astype(int))
    key, arrays = named_key(jax.random.key(config.seed), "strips"), {}
    (workdir / RECORD).unlink(missing_ok=True)
    names = list(experiment.tables)
    for i in bar("strips")(range(len(names))):
        name, whole, crops = names[i], [], []
        for step, gamma in zip(steps, gammas_at(experiment.tables[name], steps), strict=True):
            z = noised_picture(picture, float(gamma), key)
            whole.append(reduced(z, config.side))
            crops.append(middle(z, config.crop))
            if config.full_size:
                write_png(workdir / FOLDER / f"{name}_{step:06d}.png", z)
        arrays |= {f"{name}: whole": np.stack(whole), f"{name}: middle": np.stack(crops)}
    write_npz(workdir / ARRAYS, arrays)
    record = {"timesteps": steps.tolist(), "schedules": list(experiment.tables), "shape": list(picture.shape)}
    write_json(workdir / RECORD, record | origin(experiment, config.seed))
    return "done"
