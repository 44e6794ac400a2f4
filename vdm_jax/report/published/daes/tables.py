"""The tables of results/dae."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vdm_jax.report.published.daes.records import (
    FEW,
    MANY,
    RESTED,
    SIZES,
    SOME,
    SPRITES,
    Runs,
    at_rest,
    digits,
    ended,
    ends,
    error,
    size_of,
    spectrum,
    sprites,
    written,
)
from vdm_jax.report.published.table import number, table

SMALL, MIDDLE, LARGE = 0.1, 0.4, 2.4  # noise levels of the claims on digits
HOLDS, FAILS = 0.95, 0.05  # shares of starts from which a claim is confirmed or refuted
PLACES = ("training image", "noised training image", "test image", "between two", "noise")


class SlideClaim(NamedTuple):
    """A sentence of the slides, and the share of starts that is measured for it.

    judged: whether the share is what the sentence says, so that it confirms or refutes it.
    """

    text: str
    measured: str
    kind: str
    key: str
    sigma: float
    judged: bool = True


CLAIMS = (
    SlideClaim(
        "σ² ≪ 1: a training image is an attractor",
        "noised training images that return to their own, σ = 0.1",
        "training",
        "own",
        SMALL,
    ),
    SlideClaim(
        "the same at σ = 0.4",
        "noised training images that return to their own, σ = 0.4",
        "training",
        "own",
        MIDDLE,
    ),
    SlideClaim(
        "this will restore the closest image",
        "noised test images that end at the training image closest to them, σ = 0.1",
        "test",
        "closest",
        SMALL,
    ),
    SlideClaim(
        "… from anywhere",
        "noise that ends at the training image closest to it, σ = 0.1",
        "noise",
        "closest",
        SMALL,
    ),
    SlideClaim(
        "large σ²: the update moves x towards the mean training image",
        "noise that ends at the mean after many updates, σ = 2.4",
        "noise",
        "at_mean",
        LARGE,
        judged=False,
    ),
    SlideClaim(
        "eventually x is attracted by the manifold",
        "noise that ends at a training image, σ = 2.4",
        "noise",
        "on_image",
        LARGE,
        judged=False,
    ),
)


def verdict(claim: SlideClaim, runs: Runs, dae: str) -> str:
    """The share and what it says; no verdict where iterations have not converged or measure something else."""
    place = (runs, dae, claim.kind)
    text, rest = ended(*place, claim.key, claim.sigma), at_rest(*place, claim.sigma)
    if not claim.judged:
        return text
    if rest < RESTED:
        return f"{text}: no verdict"
    mean = float(ends(*place, claim.key, claim.sigma).mean())
    return f"{text}: {'confirmed' if mean >= HOLDS else 'refuted' if mean <= FAILS else 'in part'}"


def claims(folder: Path) -> str:
    """The claims of the slides on where steps end, by DAE."""
    columns: dict[str, Callable[[SlideClaim], str]] = {"the slides": lambda row: row.text}
    columns["measured: share of"] = lambda row: row.measured
    shown = [("optimal", MANY), ("trained", FEW), ("trained", SOME), ("trained", MANY)]
    for dae, size in shown:
        runs = digits(folder, size)
        columns[f"{dae}, {size:,} images"] = lambda row, runs=runs, dae=dae: verdict(row, runs, dae)
    return table(CLAIMS, columns)


def by_size(folder: Path, columns: dict[str, Callable[[Runs], str]]) -> str:
    """A row for each size of the training set of digits."""
    rows = [digits(folder, size) for size in SIZES]
    return table(rows, {"training images": lambda runs: f"{size_of(runs):,}"} | columns)


def sizes(folder: Path) -> str:
    """Memorising and generalising: the share of noised training images that return, and errors."""
    columns: dict[str, Callable[[Runs], str]] = {}
    for sigma in (SMALL, MIDDLE, 0.8):
        columns[f"returns to its own, trained, σ = {sigma:g}"] = lambda runs, sigma=sigma: ended(
            runs, "trained", "training", "own", sigma
        )
    columns["… optimal, σ = 0.8"] = lambda runs: ended(runs, "optimal", "training", "own", 0.8)
    for dae in ("trained", "optimal"):
        for of in ("train", "test"):
            columns[f"error, {dae}, {of}, σ = {MIDDLE:g}"] = lambda runs, dae=dae, of=of: written(
                error(runs, dae, of, MIDDLE)
            )
    columns["different ends of noise, trained, σ = 0.4"] = lambda runs: ended(
        runs, "trained", "noise", "num_ends", MIDDLE
    )
    columns["… optimal"] = lambda runs: ended(runs, "optimal", "noise", "num_ends", MIDDLE)
    columns["clean test images near a training image"] = lambda runs: written(
        np.array([run.record("attractors")["test_on_image"] for run in runs], np.float64)
    )
    return by_size(folder, columns)


def merging(folder: Path) -> str:
    """When the attractors of the optimal DAE merge, and two noise levels that are known."""

    def known(key: str) -> Callable[[Runs], str]:
        def text(runs: Runs) -> str:
            optimal = [run.record("attractors")["daes"][f"optimal {size_of(runs)}"] for run in runs]
            return written(np.array([each["merging_sigmas"][key] for each in optimal], np.float64))

        return text

    columns = {"√λ₁": known("of_the_mean"), "largest distance to the mean": known("single")}
    for sigma in (0.8, 1.2, 1.6, LARGE):
        columns[f"different ends of 100 starts, σ = {sigma:g}"] = lambda runs, sigma=sigma: ended(
            runs, "optimal", "noise", "num_ends", sigma
        )
    columns["share at the mean, σ = 1.6"] = lambda runs: ended(runs, "optimal", "noise", "at_mean", 1.6)
    columns["σ = 2.4"] = lambda runs: ended(runs, "optimal", "noise", "at_mean", LARGE)
    return by_size(folder, columns)


def linear(folder: Path) -> str:
    """The linear DAE and the projection of "SVD diffusion"."""
    rows: list[tuple[str, Runs]] = [("digits, 1,000", digits(folder, MANY)), ("sprites, 2,000", sprites(folder))]

    def of_svd(key: str) -> Callable[[tuple[str, Runs]], str]:
        return lambda row: written(np.array([run.record("attractors")["svd"][key] for run in row[1]], np.float64))

    def of_linear(key: str) -> Callable[[tuple[str, Runs]], str]:
        return lambda row: ended(row[1], "linear", "training", key, 1.6)

    return table(
        rows,
        {
            "training images": lambda row: row[0],
            "projection on components": of_svd("components"),
            "different starts": of_svd("num_starts"),
            "different ends": of_svd("num_ends"),
            "share of ends at a training image": of_svd("on_image"),
            "distance to the projection of the start": of_svd("moved"),
            "linear, σ = 1.6: returns to its own": of_linear("own"),
            "… ends at the mean": of_linear("at_mean"),
        },
    )


def two_points(folder: Path) -> str:
    """The attractor of two images against x* = a tanh(a x*/sigma²), a row for each pair."""
    pairs = [("digits", run) for run in digits(folder, MANY)] + [("sprites", run) for run in sprites(folder)]
    found = [(name, run.record("attractors")["two_points"]) for name, run in pairs]

    def off(row) -> str:
        difference = np.abs(np.array(row[1]["found"]) - np.array(row[1]["predicted"]))
        return f"{difference.max():.1e}"

    def at(ratio: float, key: str) -> Callable[..., str]:
        return lambda row: number(row[1][key][row[1]["sigma_over_a"].index(ratio)])

    columns: dict[str, Callable[..., str]] = {
        "pair of": lambda row: row[0],
        "a": lambda row: number(row[1]["a"]),
    }
    for ratio in (0.6, 0.9, 0.98, 1.02):
        columns[f"x*/a at σ = {ratio:g} a"] = at(ratio, "found")
        columns[f"tanh, {ratio:g}"] = at(ratio, "predicted")
    columns["largest difference"] = off
    return table(found, columns)


def jacobians(folder: Path, rows: Sequence[tuple[str, Runs, str]], sigma: float) -> str:
    """Directions that DAEs keep, by place; in brackets the largest singular value."""

    def cell(place: str, runs: Runs, dae: str) -> str:
        kept, largest = (spectrum(runs, dae, place, key, sigma) for key in ("kept", "largest"))
        return f"{written(kept)} ({largest.mean():.2g})"

    columns: dict[str, Callable[[str], str]] = {"at": lambda place: place}
    columns |= {name: lambda place, runs=runs, dae=dae: cell(place, runs, dae) for name, runs, dae in rows}
    return table(PLACES, columns)


def jacobians_digits(folder: Path) -> str:
    """Of digits, at sigma = 0.4."""
    shown = [("trained", FEW), ("trained", SOME), ("trained", MANY), ("optimal", MANY), ("linear", MANY)]
    return jacobians(folder, [(f"{dae}, {size:,}", digits(folder, size), dae) for dae, size in shown], MIDDLE)


def jacobians_sprites(folder: Path) -> str:
    """Of sprites, at sigma = 0.8."""
    rows = [(f"{dae}, {SPRITES:,}", sprites(folder), dae) for dae in ("trained", "optimal", "linear")]
    return jacobians(folder, rows, 0.8)


def of_sprites(folder: Path) -> str:
    """Sprites by noise level."""
    runs = sprites(folder)
    columns: dict[str, Callable[[float], str]] = {"σ": lambda sigma: f"{sigma:g}"}
    for size in (FEW, SOME, SPRITES):
        columns[f"returns to its own, optimal, {size:,}"] = lambda sigma, size=size: ended(
            runs, "optimal", "training", "own", sigma, size
        )
    columns["trained, 2,000"] = lambda sigma: ended(runs, "trained", "training", "own", sigma)
    columns["noise at the mean, optimal, 2,000"] = lambda sigma: ended(runs, "optimal", "noise", "at_mean", sigma)
    for dae in ("trained", "optimal", "linear"):
        columns[f"test error, {dae}"] = lambda sigma, dae=dae: written(error(runs, dae, "test", sigma))
    return table(runs[0].record("attractors")["sigmas"], columns)
