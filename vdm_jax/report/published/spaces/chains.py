"""results/spaces: schedules, chains and diffusion models in the spaces of one training seed, from their records.

The records are schedules/SPACE-SCHEDULE/exact.json, chains/SPACE-MODEL/chains.json and chain_probes.json,
chains/SPACE-exact/normality.json and diffusion/NAME/evaluate.json.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vdm_jax.report.compare.latent_sweep import models_table
from vdm_jax.report.compare.study import Setting
from vdm_jax.report.primitives.measured import measured_text
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
CLASSIFIERS = {
    "statistics": "linear, of statistics of the latents",
    "posterior": "trees, with numbers of the exact posterior",
    "probe": "MLP on the latents",
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
                found[space, name]["features"][feature]
            )
    return table(rows, columns)


def _window(feature: Mapping[str, Any]) -> str:
    """Timesteps with their errors over queries; a share that the space never holds has none."""
    times, errors = feature["windows"], feature["windows_standard_error"]
    return " / ".join(
        "never" if times[level] is None else f"{times[level]:.0f} ± {errors[level] or math.nan:.1f}" for level in WINDOW
    )


def chains(folder: Path) -> str:
    """How far the curves of chains are from the exact curves, by space and sampler, over all features."""
    rows = []
    for space, name in SPACES.items():
        for path in sorted((folder / "chains").glob(f"{space}-*")):
            for sampler, own in Workdir(path).chains.get("samplers", {}).items():
                rows.append((name, sampler, own, Workdir(path).chains))
    columns = {"space": lambda row: row[0], "chains": lambda row: row[1].replace("model-", "trained, ")}
    for title, key in DISTANCES.items():
        columns[title] = lambda row, key=key: _distance(row[2], key)
        if key == "backward_accuracy":
            columns["… the largest of a feature"] = lambda row: _largest_distance(row[2], "backward_accuracy")
    columns["real against generated: accuracy farthest from 1/2"] = lambda row: _farthest(row[2])
    columns["ends far from the data"] = lambda row: f"{row[2]['far_from_data']:.3f}"
    columns["codes misread"] = lambda row: f"{row[3]['reader_errors']['exact']['any_error']:.3f}"
    return table(rows, columns)


def classifiers(folder: Path) -> Iterator[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]]:
    """(space, classifier, record, scores) of each classifier of real latents and those of a trained model."""
    for space, name in SPACES.items():
        record = Workdir(folder / "chains" / f"{space}-trained").record("chain_probes")
        for own in record.get("samplers", {}).values():
            for classifier, title in CLASSIFIERS.items():
                if classifier in own["real_or_generated"]:
                    yield name, title, record, own["real_or_generated"][classifier]


def real_or_generated(folder: Path) -> str:
    """How well classifiers separate noised real latents from those of a trained model, by space and timestep."""
    rows = list(classifiers(folder))
    columns = {"space": lambda row: row[0], "classifier": lambda row: row[1]}
    for timestep in dict.fromkeys(at for row in rows for at in row[2]["timesteps"]):
        columns[f"t = {timestep}"] = lambda row, timestep=timestep: _accuracy_at(row, timestep)
    return table(rows, columns)


def _accuracy_at(row: tuple[str, str, Mapping[str, Any], Mapping[str, Any]], timestep: int) -> str:
    """The accuracy ± its error. A probe at exactly one half, where it begins, is not trained."""
    _, classifier, record, scores = row
    if timestep not in record["timesteps"]:
        return DASH
    at = record["timesteps"].index(timestep)
    accuracy, error = scores["accuracy"][at], scores["standard_error"][at]
    not_trained = classifier == CLASSIFIERS["probe"] and accuracy == 0.5
    return "0.5, not trained" if not_trained else measured_text(accuracy, error)


def _distance(sampler: Mapping[str, Any], key: str) -> str:
    """The mean over timesteps and features, and in brackets in standard errors."""
    found = [own["distances"].get(key) for own in sampler["features"].values()]
    found = [each for each in found if each is not None]
    if not found:
        return DASH
    mean, errors = (float(np.mean([each[name] for each in found])) for name in ("mean", "mean_standard_errors"))
    return f"{mean:.4f} ({errors:.2f})"


def _largest_distance(sampler: Mapping[str, Any], key: str) -> str:
    """The largest difference over timesteps and features, and in brackets the largest in standard errors."""
    found = [each for own in sampler["features"].values() if (each := own["distances"].get(key)) is not None]
    if not found:
        return DASH
    return f"{max(each['largest'] for each in found):.3f} ({max(each['standard_errors'] for each in found):.1f})"


def _farthest(sampler: Mapping[str, Any]) -> str:
    """The accuracy that is farthest from one half on either side, and in brackets in standard errors."""
    found = sampler["real_or_generated"]
    if not found.get("accuracy"):
        return DASH
    farthest = max(found["accuracy"], key=lambda accuracy: abs(accuracy - 0.5))
    return f"{farthest:.3f} ({found['distance']['standard_errors']:.1f})"


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
