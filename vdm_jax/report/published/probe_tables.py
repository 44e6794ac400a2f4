"""Tables of results/probes: exact curves, trained probes and other nets."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.table import DASH, number, table

SCHEDULES = {"linear": "linear", "cosine": "cosine", "dirac": "Dirac"}
FEATURES = ("shape", "orientation", "scale", "x", "y")
SCORES = {"shape": "accuracy", "orientation": "R²", "scale": "R²", "x": "R²", "y": "R²"}


def windows(known: Mapping[str, Any], key: str = "windows") -> str:
    """The timesteps with 95, 50 and 5% left ± standard errors to one digit, separated by slashes."""
    cells, errors = [], known.get(f"{key}_standard_error") or {}
    for level, at in known[key].items():
        error = errors.get(level)
        if at is None or error is None:
            cells.append("never" if at is None else f"{at:.1f}")
        else:
            decimals = max(0, -math.floor(math.log10(error))) if error > 0 else 1
            cells.append(f"{at:.{decimals}f} ± {error:.{decimals}f}")
    return " / ".join(cells)


def exact_64(folder: Path) -> str:
    """Exact windows of 64x64 sprites under three schedules."""
    records = {name: Workdir(folder / f"full-{stem}").exact["features"] for stem, name in SCHEDULES.items()}
    order = sorted(FEATURES, key=lambda name: records["linear"][name]["windows"]["50%"])
    columns = {"feature": lambda name: name}
    for schedule, found in records.items():
        columns[f"{schedule}: 95 / 50 / 5% left at"] = lambda name, found=found: windows(found[name])
    return table(order, columns)


def largest_gap(feature: Mapping[str, Any], timesteps: Sequence[int]) -> str:
    """The largest difference between the exact posterior and the probe on the same images, ± its error, and where."""
    gaps = feature["exact_minus_probe"]
    key = "r2" if "r2" in gaps else "accuracy"
    at = max(range(len(timesteps)), key=lambda i: gaps[key][i])
    error = gaps[f"{key}_standard_error"][at]
    value = gaps[key][at]
    text = number(value, error if error >= 5e-5 else math.nan) if value >= 5e-5 else "below 0.0001"
    text = f"{value:.4f}" if error < 5e-5 <= value else text
    return f"{text} at {timesteps[at]}"


def probes_of(folder: Path, stems: Mapping[str, str]) -> str:
    """Gaps and windows of trained probes; a column pair for each run."""
    columns = {"feature, score": lambda name: f"{name}, {SCORES[name]}"}
    for stem, title in stems.items():
        record = Workdir(folder / stem).probe

        def gap(name: str, record=record) -> str:
            return largest_gap(record["features"][name], record["timesteps"])

        def found(name: str, record=record) -> str:
            return windows(record["features"][name])

        columns |= {f"{title}: largest gap": gap, f"{title}: 95 / 50 / 5% found at": found}
    return table(FEATURES, columns)


def probes_64(folder: Path) -> str:
    """Trained probes of 64x64 sprites."""
    return probes_of(folder, {f"full-{stem}": name for stem, name in SCHEDULES.items()})


def quick_32(folder: Path) -> str:
    """Exact windows, trained probes and the decisions of the exact sampler at 32x32."""
    run = Workdir(folder / "quick")
    decided = run.chains["samplers"]["exact"]["features"]
    columns = {
        "feature, score": lambda name: f"{name}, {SCORES[name]}",
        "exact: 95 / 50 / 5% left at": lambda name: windows(run.exact["features"][name]),
        "probe: 95 / 50 / 5% found at": lambda name: windows(run.probe["features"][name]),
        "probe: largest gap": lambda name: largest_gap(run.probe["features"][name], run.probe["timesteps"]),
        "posterior draws: 95 / 50 / 5% decided at": lambda name: windows(decided[name]),
    }
    return table(FEATURES, columns)


def seeds_32(folder: Path) -> str:
    """Three seeds of probes under three schedules at 32x32."""
    columns = {"feature, score": lambda name: f"{name}, {SCORES[name]}"}
    for stem, schedule in SCHEDULES.items():
        run = Workdir(folder / f"small-{stem}")

        def known(name: str, run=run) -> str:
            return windows(run.exact["features"][name])

        def gap(name: str, run=run) -> str:
            return largest_gap(run.probe["features"][name], run.probe["timesteps"])

        columns |= {f"{schedule}: exact 95 / 50 / 5%": known, f"{schedule}: largest gap": gap}
    return table(FEATURES, columns)


def nets(folder: Path) -> str:
    """The gaps of other nets, and the number of timesteps at which each is flagged."""
    runs = {
        "linear": Workdir(folder / "nets" / "linear"),
        "MLP, 128 and 128 wide": Workdir(folder / "nets" / "mlp"),
        "convolutional, 32 and 64 channels": Workdir(folder / "nets" / "conv"),
        "the same, up to 8,000 updates": Workdir(folder / "nets" / "conv-8000"),
        "matched filters, templates of labelled sprites": Workdir(folder / "quick"),
    }

    def cell(net: str, name: str) -> str:
        record = runs[net].probe
        feature = record["features"][name]
        return f"{largest_gap(feature, record['timesteps'])}; {sum(feature['falls_short'])}"

    columns = {"net": lambda net: net}
    for name in FEATURES:
        columns[f"{name}, {SCORES[name]}"] = lambda net, name=name: cell(net, name)
    return table(list(runs), columns)


IMAGES = {"mnist": "MNIST, 55,000 of 28x28", "digits": "digits, 1,297 of 8x8"}


def images(folder: Path) -> str:
    """The class of the training images of MNIST and digits."""
    rows = [(title, schedule, Workdir(folder / "images" / f"{data}-{stem}").exact)
            for data, title in IMAGES.items() for stem, schedule in SCHEDULES.items()]  # fmt: skip
    columns = {
        "images": lambda row: row[0],
        "schedule": lambda row: row[1],
        "class: 95 / 50 / 5% left at": lambda row: windows(next(iter(row[2]["features"].values()))),
        "speciation time, abar = 1/Λ": lambda row: speciation(row[2]),
    }
    return table(rows, columns)


def speciation(record: Mapping[str, Any]) -> str:
    """The timestep at which the leading direction of the data falls below the noise."""
    found = (record.get("speciation") or {}).get("timestep")
    return DASH if found is None else f"{found:.0f}"
