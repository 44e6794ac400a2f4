"""Runs of kind "spaces" with known numbers, for the tests of their report and comparison."""

import json
import pathlib

TIMES = [0, 250, 500, 750, 1000]
ABAR = [1 - 2e-9, 0.9, 0.5, 0.1, 0.0001]


def feature(shift: float = 0.0, held: float = 1.0, gap: float = 0.01) -> dict:
    """A feature with values, destroyed around timestep 500 + shift; a held share below 0.95 never has 95%."""
    windows = {"95%": 400 + shift if held >= 0.95 else None, "50%": 500 + shift, "5%": 700 + shift}
    logsnr = {level: None if at is None else (500 - at) / 100 for level, at in windows.items()}
    errors = dict.fromkeys(windows, 2.0)
    curves = {"accuracy": [0.9, 0.8, 0.5, 0.2, 0.1], "r2": [held, 0.9 * held, 0.5 * held, 0.05, 0.0]}
    curves |= {f"{key}_standard_error": [0.01] * 5 for key in list(curves)}
    whole = {level: 400 + shift if at is None else at for level, at in windows.items()}
    return {
        "exact": curves,
        "held": held,
        "entropy_nats": 1.0,
        "variance": 0.1,
        **{"windows": windows, "windows_standard_error": errors, "windows_logsnr": logsnr},
        **{"held_windows": whole, "held_windows_standard_error": errors},
        "held_windows_logsnr": {level: (500 - at) / 100 for level, at in whole.items()},
        "probe": {"score": "r2", "largest_gap": gap, "standard_error": 0.001, "timestep": 500, "falls_short": []},
    }


def table_of(name: str, seed: int = 0, shift: float = 0.0, *, trained: bool = True, held: float = 1.0) -> dict:
    scales = {}
    for scale, more, eigenvalue in (("none", 0.0, 4.0), ("global", 100.0, 1.6), ("component", 50.0, 1.2)):
        found = {"timesteps": TIMES, "abar": ABAR, "num_queries": [400] * 5, "leading_eigenvalue": eigenvalue}
        found |= {"factor": 1.0, "speciation": {"abar": 1 / eigenvalue, "timestep": 450.0 + shift + more}}
        features = {"shape": feature(shift + more, held), "x": feature(shift + more + 50, gap=0.03)}
        scales[scale] = found | {"features": features}
    space = {"name": name, "fingerprint": f"{name}{seed}", "shape": [16], "num_latents": 16, "variance": 0.4}
    own = {"reconstruction_sum": 4.0 + seed, "reconstruction_sum_standard_error": 0.1, "num_images": 922}
    return {
        "space": space | {"sampled": True},
        "trained": {"variant": name, "seed": seed} if trained else None,
        "autoencoder": own,
        "scales": scales,
        "reasons": {},
        "settings": {"name": f"spaces-{name}", "space": {"workdir": "/x", "train": name, "seed": seed}},
        "provenance": {"commit": "0123", "data": "sprites small"},
    }


def write_table(workdir: pathlib.Path, record: dict) -> pathlib.Path:
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "table.json").write_text(json.dumps(record))
    return workdir
