"""Tables of results/probes: chains of the exact model and of trained models, and the samples of the latter."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.table import number, table

FEATURES = ("shape", "orientation", "scale", "x", "y")
SAMPLERS = {
    "exact": "exact posterior draws, 20 steps",
    "ancestral:100": "optimal denoiser, 100 ancestral steps",
    "ancestral_beta:1000": "optimal denoiser, 1,000 steps of variance beta",
    "model-ancestral:100": "trained DDPM, 100 ancestral steps",
    "model-ddim:50": "trained DDPM, DDIM, 60 steps",
}
LEVELS = ("95%", "50%")


def time(known: Mapping[str, Any], level: str, key: str = "windows") -> tuple[float, float]:
    """(timestep, standard error) at which a share is left; NaN where it is not reached."""
    at, error = (known.get(name, {}).get(level) for name in (key, f"{key}_standard_error"))
    return (math.nan if at is None else at), (math.nan if error is None else error)


def later(found: tuple[float, float], noised: tuple[float, float]) -> str:
    """`time ± error (z)`: z = how many standard errors after noised data, negative if before, on the way back."""
    if math.isnan(found[0]):
        return "never"
    z = (noised[0] - found[0]) / math.hypot(found[1], noised[1])
    return f"{number(*found)} ({z:+.1f})"


def decided(folder: Path) -> str:
    """When chains decide, by probes trained on 4,000 chains, beside when noised data lose the feature."""
    run = Workdir(folder / "sparse-linear")
    noised, samplers = run.chains["features"], run.chain_probes["samplers"]
    rows = [(name, level) for name in FEATURES for level in LEVELS]
    columns = {
        "feature": lambda row: row[0],
        "share": lambda row: row[1],
        "noised data": lambda row: number(*time(noised[row[0]], row[1])),
    }
    for sampler in ("exact", "ancestral:100", "model-ancestral:100"):

        def cell(row: tuple[str, str], known=samplers[sampler]["features"]) -> str:
            return later(time(known[row[0]], row[1]), time(noised[row[0]], row[1]))

        columns[SAMPLERS[sampler]] = cell
    return table(rows, columns)


def at_400(folder: Path) -> str:
    """Scores at timestep 400 of probes trained on chains, of 1,536 held-out chains."""
    record = Workdir(folder / "sparse-linear").chain_probes
    at = record["timesteps"].index(400)

    def cell(name: str, sampler: str) -> str:
        scores = record["samplers"][sampler]["features"][name]["probe"]
        key = "r2" if "r2" in scores else "accuracy"
        return number(scores[key][at], scores[f"{key}_standard_error"][at])

    columns = {"feature": lambda name: f"{name}, {'accuracy' if name == 'shape' else 'R²'}"}
    for sampler in ("exact", "ancestral:100", "model-ancestral:100"):
        columns[SAMPLERS[sampler]] = lambda name, sampler=sampler: cell(name, sampler)
    return table(FEATURES, columns)


CLASSIFIERS = {"probe": "trained probes", "posterior": "trees on the exact posterior", "statistics": "linear"}
SHOWN = (0, 50, 200, 400, 600, 800, 1000)


def real_or_generated(folder: Path) -> str:
    """Accuracy of classifiers of noised data against chains."""
    record = Workdir(folder / "sparse-linear").chain_probes
    rows = [(sampler, by) for sampler in record["samplers"] for by in CLASSIFIERS]

    def known(row: tuple[str, str]) -> Mapping[str, Any]:
        return record["samplers"][row[0]]["real_or_generated"][row[1]]

    def highest(row: tuple[str, str]) -> str:
        accuracy, errors = known(row)["accuracy"], known(row)["standard_error"]
        at = max(range(len(accuracy)), key=lambda i: accuracy[i])
        return f"{number(accuracy[at], errors[at])} at {record['timesteps'][at]}"

    columns = {
        "chains": lambda row: SAMPLERS[row[0]],
        "classifier": lambda row: CLASSIFIERS[row[1]],
        "highest": highest,
    }
    for timestep in SHOWN:
        at = record["timesteps"].index(timestep)
        columns[f"at {timestep}"] = lambda row, at=at: f"{known(row)['accuracy'][at]:.3f}"
    return table(rows, columns)


def distances(folder: Path) -> str:
    """Largest distances of 400 chains from the exact curves, at 32x32 under the linear schedule."""
    record = Workdir(folder / "sparse-linear").chains
    samplers = ("exact", "ancestral:100", "model-ancestral:100", "model-ddim:50")
    n = record["num_queries"]

    def far(sampler: str) -> str:
        share = record["samplers"][sampler]["far_from_data"]
        return number(share, math.sqrt(share * (1 - share) / n))

    def distance(sampler: str, name: str, key: str) -> str:
        found = record["samplers"][sampler]["features"][name]["distances"][key]
        return f"{found['largest']:.3f}; {found['mean_standard_errors']:.1f}"

    def half(sampler: str, name: str) -> str:
        features = record["samplers"][sampler]["features"]
        return later(time(features[name], "50%"), time(record["features"][name], "50%"))

    columns = {
        "chains": lambda sampler: SAMPLERS[sampler],
        "end far from every sprite, share": far,
        "shape from noise, from A(t): largest; mean in s.e.": lambda each: distance(each, "shape", "backward_accuracy"),
        "shape there and back, from R(t): largest; mean in s.e.": lambda each: distance(
            each, "shape", "round_trip_kept"
        ),
        "half of shape decided at": lambda each: half(each, "shape"),
        "half of scale": lambda each: half(each, "scale"),
        "half of x": lambda each: half(each, "x"),
    }
    return table(samplers, columns)


MODELS = {"linear": "linear", "cosine": "cosine", "dirac": "Dirac"}


def schedules(folder: Path) -> str:
    """Trained DDPMs of 768 sprites under three schedules: samples and decisions."""
    model = {stem: Workdir(folder / f"ddpm-sparse-{stem}").evaluate for stem in MODELS}
    chains = {stem: Workdir(folder / f"sparse-{stem}").chains for stem in MODELS}

    def bound(stem: str) -> str:
        found = model[stem]
        return (
            number(found["bound_nats"], found["bound_nats_standard_error"]) if found["bound_nats"] else "none defined"
        )

    def share(stem: str, key: str) -> str:
        value, n = model[stem]["coverage"][key], model[stem]["coverage"]["num_images"]
        return number(value, math.sqrt(value * (1 - value) / n))

    def half(stem: str, name: str) -> str:
        known = chains[stem]["samplers"]["model-ancestral:100"]["features"][name]
        noised = time(chains[stem]["features"][name], "50%")
        return f"{later(time(known, '50%'), noised)}; {noised[0]:.1f}"

    columns = {
        "schedule": lambda stem: MODELS[stem],
        "bound, nats": bound,
        "sprites to the pixel, share": lambda stem: share(stem, "exactly_a_sprite"),
        "not a sprite, share": lambda stem: share(stem, "not_a_sprite"),
        "half of shape decided at (z); noised data": lambda stem: half(stem, "shape"),
        "half of scale": lambda stem: half(stem, "scale"),
        "half of x": lambda stem: half(stem, "x"),
    }
    return table(list(MODELS), columns)


TESTS = ("shape", "scale", "orientation", "x", "y", "kind", "place", "kind and place")
READERS = {"exact": "nearest sprite", "net": "network"}


def coverage(folder: Path) -> str:
    """Modes that samples hit, and p values of equal shares by both readers with Bonferroni's correction."""
    model = {stem: Workdir(folder / f"ddpm-sparse-{stem}").evaluate["coverage"]["readers"] for stem in MODELS}

    def cell(stem: str, reader: str) -> str:
        found = {name: model[stem][reader]["histograms"][name]["p_value"] for name in TESTS}
        name = min(found, key=found.get)
        corrected = min(1.0, len(TESTS) * found[name])
        return f"{found[name]:.2g} ({name}); corrected {corrected:.2g}"

    def hit(stem: str, reader: str) -> str:
        found = model[stem][reader]["histograms"]["kind and place"]
        return f"{found['num_hit']} of {found['num_modes']}; {found['num_hit_expected']:.0f} of as many data"

    rows = [(stem, reader) for stem in MODELS for reader in READERS]
    columns = {
        "schedule": lambda row: MODELS[row[0]],
        "classified by": lambda row: READERS[row[1]],
        "samples": lambda row: str(model[row[0]][row[1]]["histograms"]["shape"]["num_images"]),
        "modes hit: kind and place": lambda row: hit(*row),
        "joint test of kind and place, p": lambda row: (
            f"{model[row[0]][row[1]]['histograms']['kind and place']['p_value']:.2g}"
        ),
        "smallest p of eight tests": lambda row: cell(*row),
    }
    return table(rows, columns)
