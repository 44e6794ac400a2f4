"""Chains of samplers: when features are decided, what round trips keep, and whether chains differ from noised data."""

from html import escape
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel, table
from vdm_jax.report.primitives.windows import window_cells
from vdm_jax.report.primitives.workdir import Workdir

BACKWARD = (
    "When the sampler decides a feature: the score of the best probe of noised data on z_t of the chain. The label is "
    "that of the end of the chain. Black: the same score on noised data, which a perfect model with a stochastic "
    "sampler must have; under a deterministic sampler z_t determines the label. Bands: ± 2 standard errors."
)
ROUND_TRIP = (
    "Round trips, noised to t and sampled back: the share of images that keep their class, or the mean squared "
    "difference of the value before and after. Black: the exact model, R(t) or 2 MMSE(t). Dotted: the value for "
    "independent start and end. Bands: ± 2 standard errors."
)
BY_CLASS = "The same by the class of the start. Dotted: the share of that class among images generated from noise."
REAL_OR_GENERATED = (
    "Accuracy of a linear classifier of a few statistics that classifies z_t as noised data or as part of a chain, on "
    "held-out images (bands: ± 2 standard errors). It is 0.5 for equal distributions. A stronger classifier may have a "
    "higher accuracy. Chains start from N(0, I), not from noised data; the dotted line is the largest accuracy that "
    "this difference alone allows."
)
YARDSTICK = (
    "In standard errors, a perfect model has by chance 0.8 on average, and a largest value of about 2.2 for 20 "
    "timesteps and 2.5 for 50. The largest value is smaller if the timesteps share data and noise, as in round trips."
)
PARTS = {  # in the names of the pictures -> name, caption
    "backward": ("backward", BACKWARD),
    "round_trip": ("round trip", ROUND_TRIP),
    "by_class": ("by class", BY_CLASS),
    "told_apart": ("real or generated", REAL_OR_GENERATED),
}
DISTANCES = {
    "backward_accuracy": "backward: accuracy and A(t)",
    "backward_squared_error": "backward: squared error and MMSE(t)",
    "round_trip_kept": "round trip: share kept and R(t)",
    "round_trip_squared_error": "round trip: squared difference and 2 MMSE(t)",
    "plateau_by_class": "round trip from t = T: share kept of each class and its share of generated images",
}


def chains_section(workdir: Workdir, gallery: Gallery) -> str:
    """A panel for each feature (two with round trips, and one for each sampler and class), a panel of real or
    generated, and tables of windows and distances."""
    record = workdir.chains
    try:
        timesteps = np.array(record["timesteps"], np.float64)
        names, samplers = list(record["features"]), dict(record["samplers"])
        parts = {
            "backward": [backward_figure(name, record, timesteps) for name in names],
            "round_trip": [
                round_trip_figure(name, record, timesteps)
                for name in names
                if all("round_trip" in found["features"][name] for found in samplers.values())
            ],
            "by_class": [
                by_class_figure(name, sampler, found["features"][name], timesteps)
                for sampler, found in samplers.items()
                for name in names
                if "kept_by_class" in found["features"][name].get("round_trip", {})
            ],
            "told_apart": [real_or_generated_figure(samplers, timesteps, record["start_told_apart_at_most"])],
        }
        rows, far, words = _rows(record), _distance_rows(record), _words(record)
    except (KeyError, TypeError, ValueError):
        return missing("There is no readable chains.json yet", "chains")
    html = ""
    for part, figures in parts.items():
        pictures = [gallery.save(f"chains_{part}_{i}", drawn) for i, drawn in enumerate(figures)]
        name, caption = PARTS[part]
        panels = [panel(picture, alt=f"{name}, panel {i + 1}") for i, picture in enumerate(pictures)]
        html += figure(panels, caption) if panels else ""
    head = ("sampler", "steps", "feature", "95% known", "50%", "5%", "baseline: the most frequent class")
    html += table(head, rows, numbers=(1, 3, 4, 5, 6))
    head = ("sampler", "reader", "feature", "distance between", "largest", "mean", "largest, s.e.", "mean, s.e.")
    return f"<p>{escape(words)}</p>{html}{table(head, far, numbers=(4, 5, 6, 7))}<p>{YARDSTICK}</p>"


def backward_figure(name: str, record: dict[str, Any], timesteps: np.ndarray) -> Figure:
    """R² of a feature with values, else accuracy, on noised data and along the chain of each sampler."""
    exact = record["features"][name]["exact"]
    key = "r2" if "r2" in exact else "accuracy"
    label = "R²" if key == "r2" else "accuracy"
    drawn, axes = style.panel(title=f"{name}: when it is decided", xlabel="timestep", ylabel=label)
    style.curve(axes, timesteps, exact, key, colour=style.INK, label="noised data")
    for (sampler, found), colour in zip(record["samplers"].items(), cycle(style.LINE_COLOURS), strict=False):
        style.curve(axes, timesteps, found["features"][name]["backward"], key, colour=colour, label=sampler)
    low = min(0.0, *(min(found["features"][name]["backward"][key]) for found in record["samplers"].values()))
    axes.set_ylim(max(low, -1.0) - 0.03, 1.03)
    style.legend(axes)
    return drawn


def round_trip_figure(name: str, record: dict[str, Any], timesteps: np.ndarray) -> Figure:
    """The effect of a round trip from t: the mean squared difference of a value, else the share kept."""
    exact = record["features"][name]["exact"]
    if "mmse" in exact:
        key, label, factor, known = "squared_error", "mean square difference", 2, "mmse"
    else:
        key, label, factor, known = "kept", "share kept", 1, "retention"
    expected = {
        key: factor * np.array(exact[known]),
        f"{key}_standard_error": factor * np.array(exact[f"{known}_standard_error"]),
    }
    drawn, axes = style.panel(title=f"{name}: round trips", xlabel="timestep", ylabel=label)
    style.curve(axes, timesteps, expected, key, colour=style.INK, label="2 MMSE(t)" if factor == 2 else "R(t)")
    for (sampler, found), colour in zip(record["samplers"].items(), cycle(style.LINE_COLOURS), strict=False):
        feature = found["features"][name]
        style.curve(axes, timesteps, feature["round_trip"], key, colour=colour, label=sampler)
        axes.axhline(feature["plateau"][key], color=colour, linewidth=1.0, linestyle=":")
    style.legend(axes)
    return drawn


def by_class_figure(name: str, sampler: str, feature: dict[str, Any], timesteps: np.ndarray) -> Figure:
    """The share kept of the starts of each class, and the share of the class among generated images."""
    drawn, axes = style.panel(title=f"{name}, {sampler}", xlabel="timestep", ylabel="share kept of each class")
    trip = feature["round_trip"]
    for c, made in enumerate(feature["generated"]["share"]):
        one = {
            key: np.array([point[c] for point in trip[key]], np.float64)
            for key in ("kept_by_class", "kept_by_class_standard_error")
        }
        colour = style.CLASS_COLOURS[c % len(style.CLASS_COLOURS)]
        style.curve(axes, timesteps, one, "kept_by_class", colour=colour, label=f"class {c}")
        axes.axhline(made, color=colour, linewidth=1.0, linestyle=":")
    axes.set_ylim(-0.03, 1.03)
    style.label_ends(axes)
    return drawn


def real_or_generated_figure(samplers: dict[str, Any], timesteps: np.ndarray, at_most: float) -> Figure:
    """Accuracy of real or generated over timesteps for each sampler. Dotted: `at_most`, due to the start alone."""
    drawn, axes = style.panel(title="real or generated", xlabel="timestep", ylabel="accuracy")
    axes.axhline(0.5, color=style.INK, linewidth=1.2)
    axes.axhline(at_most, color=style.INK, linewidth=1.0, linestyle=":")
    for (sampler, found), colour in zip(samplers.items(), cycle(style.LINE_COLOURS), strict=False):
        classified = found["real_or_generated"]
        curve = {"accuracy": classified["accuracy"], "accuracy_standard_error": classified["standard_error"]}
        style.curve(axes, timesteps, curve, "accuracy", colour=colour, label=sampler)
    axes.set_ylim(0.38, 1.03)
    style.legend(axes)
    return drawn


def _rows(record: dict[str, Any]) -> list[list[str]]:
    """Windows and the share of the most frequent class: of noised data first, then of each sampler."""
    rows = []
    for name, feature in record["features"].items():
        plateaus = [found["features"][name]["plateau"] for found in record["samplers"].values()]
        rows.append(
            [
                "noised data",
                "",
                escape(name),
                *window_cells(feature["windows"], feature.get("windows_standard_error")),
                f"{plateaus[0]['forward']:.3f}",
            ]
        )
        for (sampler, found), plateau in zip(record["samplers"].items(), plateaus, strict=True):
            mine = found["features"][name]
            times = window_cells(mine["windows"], mine.get("windows_standard_error"))
            rows.append([escape(sampler), f"{found['num_steps']}", escape(name), *times, f"{plateau['backward']:.3f}"])
    return rows


def _distance_rows(record: dict[str, Any]) -> list[list[str]]:
    """Every distance to the exact model: largest and mean over the timesteps, also in standard errors."""
    rows = []
    for sampler, found in record["samplers"].items():
        readers = {record["readers"][0]: found["features"]} | found["features_by"]
        for reader, features in readers.items():
            for name, feature in features.items():
                for key, distance in feature["distances"].items():
                    rows.append([escape(sampler), escape(reader), escape(name), DISTANCES[key], *_distance(distance)])
        distance = found["real_or_generated"]["distance"]
        rows.append([escape(sampler), "", "", "real or generated: accuracy and 0.5", *_distance(distance)])
    return rows


def _distance(distance: dict[str, float]) -> list[str]:
    absolute = [f"{distance[key]:.4f}" for key in ("largest", "mean")]
    return absolute + [f"{distance[key]:.1f}" for key in ("standard_errors", "mean_standard_errors")]


def _words(record: dict[str, Any]) -> str:
    """The trained model, the share of chains that end far from the data, and the errors of the reading network."""
    words = []
    if model := record["model"]:
        words.append(f"Trained model: step {model['step']:,}, {model['weights']} weights {model['fingerprint']}.")
    ends = [f"{found['far_from_data']:.1%} of {name}" for name, found in record["samplers"].items()]
    words.append(f"Chains that do not end at an image of the data: {', '.join(ends)}.")
    if net := record["net"]:
        errors = ", ".join(f"{name} {error:.1%}" for name, error in net["errors"].items())
        words.append(
            f"Error rates of the reading network on held-out sprites: {errors}; in any {net['any_error']:.1%}."
        )
    for reader, own in record.get("reader_errors", {}).items():
        errors = ", ".join(f"{name} {error:.1%}" for name, error in own["errors"].items())
        words.append(
            f"Error rates of the reader {reader} on x of test images: {errors}; in any {own['any_error']:.1%}."
        )
    if space := record.get("space"):
        words.append(f"In the space {space['name']} (weights {space['fingerprint']}, scale {space['scale']}).")
    return " ".join(words)


CHAINS = Section("chains", "When features are decided", chains_section)
