"""Records of an autoencoder and of probes in its space with known numbers, for the tests of the kind spaces."""

import json
import pathlib

from configs import spaces
from vdm_jax.launch.settings import plain

DATA = "0123"  # the fingerprint of the images
FACTORS = {"none": 1.0, "global": 2.0, "component": 1.5}


def write_space(workdir: pathlib.Path) -> pathlib.Path:
    write(workdir / "config.json", {"kind": "autoencoder"})
    return write(workdir / "evaluate.json", {"reconstruction_sum": 4.0, "num_images": 500, "checkpoint_step": 10})


def write_probes(workdir: pathlib.Path, scale: str | None) -> pathlib.Path:
    """scale: None for pixels."""
    times = [0, 500, 1000]
    curves = {"r2": [0.9, 0.5, 0.0], "r2_standard_error": [0.01] * 3}
    gap = {"exact_minus_probe": {"r2": [0.01, 0.08, 0.0], "r2_standard_error": [0.001, 0.003, 0.001]}}
    gap |= {"falls_short": [False, True, False]}
    about = {} if scale is None else {"space": about_space(scale)}
    exact = {
        "timesteps": times,
        "abar": [1.0, 0.5, 0.0],
        "num_queries": [100] * 3,
        "features": {"x": {"exact": curves, "windows": {"95%": None, "50%": 500.0, "5%": 900.0}}},
        "speciation": {"abar": 1 / (4 * FACTORS[scale or "none"] ** 2), "timestep": 400.0},
        "settings": {name: plain(spaces.get_config("quick"))[name] for name in ("data", "diffusion")},
    }
    exact["provenance"] = {"data": " ".join([f"sprites {DATA}", about["space"]["fingerprint"]] if about else [])}
    write(workdir / "exact.json", exact | about)
    return write(workdir / "probe.json", {"timesteps": times, "features": {"x": gap}})


def about_space(scale: str) -> dict:
    about = {
        "name": "mine",
        "fingerprint": "weights" if scale == "none" else f"weights-{scale}",
        "shape": [16],
        "sampled": True,
    }
    return about | {"scale": scale, "factor": FACTORS[scale], "variance": 0.25, "workdir": "/x"}


def write(path: pathlib.Path, record: dict) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))
    return path.parent
