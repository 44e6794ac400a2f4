"""The thesis' claims about schedules, chains and diffusion models in latent spaces, beside the records.

Schedules are compared in each space by itself. Chains and diffusion models are of one training each, but for the
VAE's of 16 latents, which have three.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vdm_jax.base.statistics import FEWEST, paired_difference
from vdm_jax.report.compare.study import Setting
from vdm_jax.report.primitives.latent_models import COLUMNS, TABLE
from vdm_jax.report.primitives.measured import entry, measured_text
from vdm_jax.report.primitives.space_windows import OF_HELD
from vdm_jax.report.primitives.workdir import Workdir, leaves
from vdm_jax.report.published.spaces.chains import DIFFUSERS, SPACES, classifiers, settings_of
from vdm_jax.report.published.spaces.curve_claims import NOT_DECIDED, NOT_RUN, ONE_SEED, Found
from vdm_jax.report.published.table import interval

STEP = 50.0  # timesteps in which the Dirac schedule adds its noise
SIGNIFICANT = 2.0  # standard errors of exact curves
MIDDLE = (200, 800)  # timesteps between which the thesis classifies real and generated latents almost surely
NO_SPRITE, X_LOSS = "no sprite", ("x", "loss")  # title of a column; place in a row of the table of models


def claims_of_models(folder: Path) -> Iterable[tuple[str, Found]]:
    """Every claim with what the records say, as the spaces stand."""
    yield "cosine keeps features longer than linear", longer(folder)
    yield "under Dirac the curve is a step", step(folder)
    yield "CelebA's gender in a VQ space: some information left at 800, steps in the descent", Found("", NOT_RUN)
    yield "real and generated latents: 50% at t = 0", classified(folder, (0, 0))
    yield "… near 100% in [200, 800]", classified(folder, MIDDLE)
    yield "… in the KL-VAE space 50% from t = 600 on", Found("", NOT_RUN)
    yield "in the KL-VAE space the backward curve stays at 50%", Found("", NOT_RUN)
    yield "an untrained diffuser makes very good samples", untrained(folder)
    yield "an AE is not generative: its diffuser generates no square", generative(folder)
    yield from ((text, losses(folder, spaces)) for text, spaces in LOSSES.items())


LOSSES = {  # claim -> spaces of 64x64
    "smaller diffusers have lower losses (64x64)": ("beta10-5", "beta10-16", "beta10-256", "beta10-1024"),
    "the diffuser of KL latents has the lowest loss (64x64)": ("kl", "conv", "beta10-1024"),
    "the diffuser of BVAE-5 is better than that of VAE-5 (64x64)": ("beta10-5", "vae-5"),
}


def _windows(folder: Path, schedule: str) -> dict[str, dict[str, Mapping[str, Any]]]:
    """The features of the exact curves under a schedule, by space."""
    found = {space: Workdir(folder / "schedules" / f"{space}-{schedule}").exact for space in SPACES}
    return {space: record["features"] for space, record in found.items() if record}


def longer(folder: Path) -> Found:
    """The difference of the timesteps with half of a feature remaining, cosine − linear, in every space."""
    found = [_windows(folder, name) for name in ("linear", "cosine")]
    differences = []
    for space in found[0].keys() & found[1].keys():
        for name, linear in found[0][space].items():
            parts = linear, found[1][space][name]
            times = [part[OF_HELD]["50%"] for part in parts]
            errors = [part[f"{OF_HELD}_standard_error"]["50%"] for part in parts]
            if None not in times + errors:
                differences.append((times[1] - times[0], float(np.hypot(*errors))))
    if not differences:
        return Found("", NOT_RUN)
    least, most = min(differences), max(differences)
    text = f"half of what is held remains {measured_text(*least)} to {measured_text(*most)} timesteps longer, in all "
    text += f"of {len(differences)} features of {len(found[0].keys() & found[1].keys())} spaces"
    certain = all(mean > SIGNIFICANT * error for mean, error in differences)
    return Found(text, "confirmed" if certain else NOT_DECIDED)


def step(folder: Path) -> Found:
    """From 95% of what is held to 5% under the Dirac schedule, in every space."""
    found = [part[OF_HELD] for features in _windows(folder, "dirac").values() for part in features.values()]
    widths = [window["5%"] - window["95%"] for window in found if None not in window.values()]
    if not widths:
        return Found("", NOT_RUN)
    text = f"from 95 to 5% of what is held within {min(widths):.0f} to {max(widths):.0f} timesteps"
    return Found(text, "confirmed" if max(widths) < STEP else NOT_DECIDED)


def classified(folder: Path, between: tuple[int, int]) -> Found:
    """The accuracy of the best classifier of real and generated latents between two timesteps, by model."""
    found: dict[str, tuple[float, float]] = {}
    for name, _, record, own in classifiers(folder):
        for at, *score in zip(record["timesteps"], own["accuracy"], own["standard_error"], strict=True):
            if between[0] <= at <= between[1]:
                found[name] = max(found.get(name, (0.0, 0.0)), tuple(score))
    if not found:
        return Found("", NOT_RUN)
    return Found(", ".join(f"{measured_text(*score)} ({name})" for name, score in found.items()), ONE_SEED)


def _setting(folder: Path, name: str) -> Setting | None:
    return next((one for one in settings_of(folder) if one.name == name), None)


def untrained(folder: Path) -> Found:
    """The share of samples that resemble no sprite: of the untrained network, and how much higher than of the trained
    one, paired over the trainings."""
    one = _setting(folder, DIFFUSERS["vae-16-linear"])
    shares = one and {row: one.measured(TABLE, row, *COLUMNS[NO_SPRITE]) for row in ("untrained", "prior", "codes")}
    if not one or None in shares.values():
        return Found("", NOT_RUN)
    text = "VAE: {} resemble no sprite, of N(0, I) {}, of latents of test images {}".format(*shares.values())
    places = [(TABLE, row, *COLUMNS[NO_SPRITE]) for row in ("untrained", "trained")]
    values = [np.array([leaves(run.evaluate)[place] for run in one.runs], np.float64) for place in places]
    if len(one.runs) < FEWEST["seeds"]:
        return Found(text, ONE_SEED)
    difference = paired_difference(*values, "seeds")
    text += f"; untrained − trained {interval(difference)}"
    return Found(text, "refuted" if float(difference.interval[0]) > 0 else NOT_DECIDED)


def generative(folder: Path) -> Found:
    """What the diffusion model of the AE's latents generates."""
    one = _setting(folder, DIFFUSERS["ae-16-linear"])
    if one is None:
        return Found("", NOT_RUN)
    numbers = {title: one.measured(TABLE, "trained", *COLUMNS[title]) for title in (NO_SPRITE, "kinds hit")}
    text = f"all {numbers['kinds hit']} kinds, {numbers[NO_SPRITE]} resemble no sprite"
    return Found(text, NOT_DECIDED if len(one.runs) >= FEWEST["seeds"] else ONE_SEED)


def losses(folder: Path, spaces: Sequence[str]) -> Found:
    """The loss of x per latent of diffusion models at 64x64, in this order."""
    records = {space: Workdir(folder / "diffusion" / "full" / f"{space}-0").evaluate for space in spaces}
    if not all(records.values()):
        return Found("", NOT_RUN)
    values = (measured_text(*entry(record[TABLE]["trained"], *X_LOSS)[:2]) for record in records.values())
    text = ", ".join(f"{value} ({space})" for value, space in zip(values, records, strict=True))
    return Found(f"x loss per latent {text}", ONE_SEED)
