"""results/spaces: schedules, chains and diffusion models in the spaces of one training seed, from their records.

The records are schedules/SPACE-SCHEDULE/exact.json, chains/SPACE-MODEL/chains.json, chains/SPACE-exact/normality.json
and diffusion/NAME/evaluate.json.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vdm_jax.report.compare.latent_sweep import models_table
from vdm_jax.report.compare.study import Setting
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.table import DASH, table

SCHEDULES = {"linear": "linear", "cosine": "cosine", "dirac": "Dirac"}
SPACES = {  # folder -> name
    "ae-16": "AE, 16 latents",
    "vae-16": "VAE, 16 latents",
    "beta4-16": "beta-VAE, 4, 16 latents",
    "beta10-16": "beta-VAE, 10, 16 latents",
    "dip1-16": "DIP-VAE I, 16 latents",
    "dip2-16": "DIP-VAE II, 16 latents",
    "conv": "CONV-VAE",
    "kl": "KL-VAE",
    "vq": "VQ-VAE",
}
DIFFUSERS = {  # folders diffusion/NAME -> name of the setting
    "ae-16-linear": "AE, linear",
    "vae-16-linear": "VAE, linear",
    "vae-16-cosine": "VAE, cosine",
    "vae-16-dirac": "VAE, Dirac",
    "vae-16-vdm": "VAE, VDM's linear log SNR, bound",
    "vae-16-learned": "VAE, learned log SNR, bound",
    "beta10-16-linear": "beta-VAE 10, linear",
    "dip1-16-linear": "DIP-VAE I, linear",
    "conv-linear": "CONV-VAE, linear",
    "kl-linear": "KL-VAE, linear",
}
WINDOW = ("95%", "50%", "5%")
DISTANCES = {
    "backward − forward, accuracy": "backward_accuracy",
    "round trip − its exact curve, share kept": "round_trip_kept",
    "round trip − 2 MMSE, squared error": "round_trip_squared_error",
}


NORMAL = {"dagostino": "D'Agostino", "energy": "energy distance", "standard": "energy distance to N(0, 1)"}


def schedules(folder: Path) -> str:
    """Windows of shape and x in each space under three schedules."""
    found = {(space, name): Workdir(folder / "schedules" / f"{space}-{name}").exact
             for space in SPACES for name in SCHEDULES}  # fmt: skip
    rows = [space for space in SPACES if all(found[space, name] for name in SCHEDULES)]
    columns = {"space": lambda space: SPACES[space]}
    for feature in ("shape", "x"):
        for name, title in SCHEDULES.items():
            columns[f"{feature}, {title}"] = lambda space, feature=feature, name=name: _window(
                found[space, name]["features"][feature]["windows"]
            )
    return table(rows, columns)


def _window(window: Mapping[str, float | None]) -> str:
    return " / ".join("never" if window[level] is None else f"{window[level]:.0f}" for level in WINDOW)


def chains(folder: Path) -> str:
    """How far the curves of chains are from the exact curves, by space and sampler, over all features."""
    rows = []
    for space, name in SPACES.items():
        for path in sorted((folder / "chains").glob(f"{space}-*")):
            for sampler, own in Workdir(path).chains.get("samplers", {}).items():
                rows.append((name, sampler, own))
    columns = {"space": lambda row: row[0], "chains": lambda row: row[1].replace("model-", "trained, ")}
    for title, key in DISTANCES.items():
        columns[title] = lambda row, key=key: _distance(row[2], key)
    columns["real against generated, largest accuracy"] = lambda row: _largest(row[2])
    return table(rows, columns)


def _distance(sampler: Mapping[str, Any], key: str) -> str:
    """The mean over timesteps and features, and in brackets in standard errors."""
    found = [own["distances"].get(key) for own in sampler["features"].values()]
    found = [each for each in found if each is not None]
    if not found:
        return DASH
    mean, errors = (float(np.mean([each[name] for each in found])) for name in ("mean", "mean_standard_errors"))
    return f"{mean:.4f} ({errors:.2f})"


def _largest(sampler: Mapping[str, Any]) -> str:
    accuracies = sampler["real_or_generated"].get("accuracy", [])
    return f"{max(accuracies):.3f}" if accuracies else DASH


def normality(folder: Path) -> str:
    """The timestep from which on no test rejects that components of z_t are normal, by space; pixels first."""
    found = {"pixels": Workdir(folder / "chains" / "pixels-exact").normality}
    found |= {name: Workdir(folder / "chains" / f"{space}-exact").normality for space, name in SPACES.items()}
    columns = {
        "space": lambda row: row[0],
        "components": lambda row: f"{row[1]['num_components']:,}",
        "not normal at t = 0, share": lambda row: f"{row[1]['tests']['dagostino']['rejected'][0]:.2f}",
    }
    for test, title in NORMAL.items():
        columns[f"{title}: none rejected from"] = lambda row, test=test: _from(row[1]["tests"][test]["normal_from"])
    return table([row for row in found.items() if row[1]], columns)


def _from(timestep: float | int | None) -> str:
    return "never" if timestep is None else f"{timestep:.0f}"


def settings_of(folder: Path) -> list[Setting]:
    """The diffusion models that are there, by setting, one workdir a seed."""
    found = []
    for stem, name in DIFFUSERS.items():
        paths = [*sorted(folder.glob(f"diffusion/{stem}-[0-9]")), *folder.glob(f"diffusion/{stem}")]
        if paths:
            found.append(Setting(name, tuple(Workdir(path) for path in paths)))
    return found


def diffusers(folder: Path) -> str:
    """Latent diffusion models, each beside the simpler models of its latents."""
    return models_table(settings_of(folder))
