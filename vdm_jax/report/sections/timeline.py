"""All windows in one figure: when each feature is destroyed by noise, and when each sampler decides it."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Real
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel, table
from vdm_jax.report.primitives.windows import window_cells
from vdm_jax.report.primitives.workdir import Workdir

Windows = Mapping[str, float | None]
Known = Mapping[str, Any]  # a feature of a record: "windows", and "windows_standard_error" if known
LEVELS = ("95%", "50%", "5%")
NO_NOISE = 19.5  # log SNR of a timestep without noise
BAR, ROW = 0.62, 0.34  # share of a feature's height that its bars fill; height of a bar in inches
CAPTION = (
    "A bar is the window of a feature: from the timestep with 95% of its information remaining to the one with 5%, "
    "white at 50%. Whiskers are ± one standard error of both ends. Noise destroys the feature within its bar, and a "
    "sampler decides it there on the way back. Before the bar the feature is intact; after the bar it is gone. A bar "
    "that begins at the left edge never reaches 95%; a bar that ends at the right edge keeps more than 5%."
)
SPECIATION = "After the speciation time the leading direction of the data is below the noise (abar = 1/Λ)."


def timeline_section(workdir: Workdir, gallery: Gallery) -> str:
    """A figure of all windows (exact, trained probes, each sampler) and a table of the exact ones."""
    record = workdir.exact
    try:
        timesteps, abar = (np.array(record[key], np.float64) for key in ("timesteps", "abar"))
        marks = {"speciation": (record.get("speciation") or {}).get("timestep")}
        series = {"exact": dict(record["features"])} | _beside(workdir)
        drawn = timeline_figure(series, timesteps, abar, marks)
        rows = _rows(record["features"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return missing("There is no readable exact.json yet", "exact")
    caption = f"{CAPTION} {SPECIATION}" if marks["speciation"] is not None else CAPTION
    picture = gallery.save("timeline", drawn)
    head = ("feature, in the order of destruction", "95% remaining", "50%", "5%", "timesteps from 95 to 5%")
    return figure([panel(picture, alt="windows of all features", wide=True)], caption) + table(
        head, rows, numbers=(1, 2, 3, 4)
    )


def _beside(workdir: Workdir) -> dict[str, dict[str, Known]]:
    """The windows of the probes and of each sampler. A damaged record has none."""
    records = {"trained probes": workdir.probe}
    samplers = workdir.chains.get("samplers")
    if isinstance(samplers, Mapping):
        records |= {f"decided, {sampler}": found for sampler, found in samplers.items()}
    series = {}
    for label, record in records.items():
        features = record.get("features") if isinstance(record, Mapping) else None
        if isinstance(features, Mapping):
            known = {
                name: found for name, found in features.items() if isinstance(found, Mapping) and "windows" in found
            }
            series |= {label: known} if known else {}
    return series


def _rows(features: Mapping[str, Known]) -> list[list[str]]:
    """The exact windows, in order."""
    rows = []
    for name in in_order(features):
        feature = features[name]
        took = duration(feature["windows"])
        cells = window_cells(feature["windows"], feature.get("windows_standard_error"))
        rows.append([escape(name), *cells, "" if took is None else f"{took:.0f}"])
    return rows


def in_order(features: Mapping[str, Known]) -> list[str]:
    """Features by the timestep with 50% remaining. Those that keep 50% come last."""
    half = {name: found["windows"].get("50%") for name, found in features.items()}
    return sorted(features, key=lambda name: (half[name] is None, half[name] or 0.0))


def duration(windows: Windows) -> float | None:
    """Timesteps between 95% and 5%; None if one of them is not reached."""
    first, last = windows.get("95%"), windows.get("5%")
    return None if first is None or last is None else last - first


def timeline_figure(
    series: Mapping[str, Mapping[str, Known]],
    timesteps: Real[np.ndarray, " m"],
    abar: Real[np.ndarray, " m"],
    marks: Mapping[str, float | None],
) -> Figure:
    """A bar for each feature and series, in the order of the first series. Axes: timesteps below, log SNR above.

    series: name -> feature -> windows with standard errors. marks: name -> timestep of a vertical line, or None.
    """
    features = in_order(next(iter(series.values())))
    size = (2 * style.PANEL[0], 1.5 + ROW * len(features) * max(len(series), 2))
    drawn, axes = style.panel(title="", xlabel="timestep", ylabel="", size=size)
    height = BAR / len(series)
    for i, (label, known) in enumerate(series.items()):
        colour = style.LINE_COLOURS[i % len(style.LINE_COLOURS)]
        places = np.arange(len(features)) - BAR / 2 + height * (i + 0.5)
        bars(
            axes,
            [known.get(name, {}) for name in features],
            places,
            0.86 * height,
            float(timesteps[-1]),
            colour,
            label,
        )
    for dashes, (label, t) in zip(style.DASHES[1:], marks.items(), strict=False):
        if t is not None:
            axes.axvline(t, color=style.INK, linestyle=dashes, linewidth=1.0, label=f"{label} ({t:.0f})")
    axes.set_yticks(range(len(features)), features)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(float(timesteps[0]), float(timesteps[-1]))
    axes.set_ylim(len(features) - 0.4, -0.6)  # the first to go on top
    log_snr_axis(axes, timesteps, abar)
    style.legend(axes)
    return drawn


def bars(
    axes: Axes,
    features: Sequence[Known],
    places: Real[np.ndarray, " n"],
    height: float,
    end: float,
    colour: str,
    label: str,
) -> None:
    """A bar for each of N features at `places`, from 95% (0 if that is not reached) to 5% (`end` if that is kept),
    with the standard errors of both. A feature without a window has no bar."""
    for known, place in zip(features, places, strict=True):
        found, errors = known.get("windows", {}), known.get("windows_standard_error") or {}
        first, half, last = (found.get(level) for level in LEVELS)
        if first is None and half is None and last is None:
            continue
        left = 0.0 if first is None else first
        axes.barh(place, (end if last is None else last) - left, height, left, color=colour, label=label)
        if half is not None:
            axes.plot([half, half], [place - height / 2, place + height / 2], color="white", linewidth=1.6)
        for level in (LEVELS[0], LEVELS[-1]):
            if found.get(level) is not None and errors.get(level) is not None:
                axes.errorbar(found[level], place, xerr=errors[level], color=style.INK, linewidth=1.0, capsize=2)
        label = "_"  # one line in the legend


def log_snr_axis(axes: Axes, timesteps: Real[np.ndarray, " m"], abar: Real[np.ndarray, " m"]) -> None:
    """The upper axis: log SNR = log(abar/(1 - abar)) at the ticks of the lower one, interpolated between timesteps.
    There is no label between a timestep without noise and the first one with noise."""
    above = axes.secondary_xaxis("top")
    above.spines["top"].set_color(style.GREY)
    ticks = [tick for tick in axes.get_xticks() if timesteps[0] <= tick <= timesteps[-1]]
    log_snr = np.log(abar) - np.log1p(-abar)
    labels = []
    for tick in ticks:
        right = int(np.searchsorted(timesteps, tick))
        if log_snr[right] > NO_NOISE:
            labels.append("∞")
        elif timesteps[right] > tick and log_snr[right - 1] > NO_NOISE:
            labels.append("")
        else:
            labels.append(f"{np.interp(tick, timesteps, log_snr):.1f}")
    above.set_xticks(ticks, labels)
    above.set_xlabel("log SNR", fontsize=9.5, color=style.INK)
    above.tick_params(labelsize=9, colors=style.QUIET, length=3, width=0.8)


TIMELINE = Section("timeline", "Windows of all features", timeline_section)
