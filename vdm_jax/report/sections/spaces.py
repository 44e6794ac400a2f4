"""A latent space: what it is, and when noise destroys each feature in it, as it stands and at unit variance."""

from html import escape
from typing import Any

import numpy as np

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel, table
from vdm_jax.report.primitives.measured import entry, measured, plain
from vdm_jax.report.primitives.space_windows import SCALES
from vdm_jax.report.primitives.windows import window_cells
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.sections.timeline import CAPTION, timeline_figure

NO_TABLE = ("There is no readable table.json yet", "table")
SCALE_LAW = (
    "A space multiplied by c has the same curves, 2 ln c to the side in log SNR: the windows of the space as it stands "
    "and at mean variance 1 differ by its variance alone. At variance 1 for each latent the geometry is another one."
)


def space_section(workdir: Workdir, gallery: Gallery) -> str:
    """Size, reconstruction, variance; of each scale the factor, the leading eigenvalue and the speciation time."""
    record = workdir.record("table")
    try:
        space, scales = record["space"], dict(record["scales"])
        rows = [["latents", f"{plain(space['num_latents'])}, {' × '.join(map(str, space['shape']))}"]]
        kind = "drawn from q(u | x)" if space["sampled"] else "one value, the mean"
        rows += [["code of an image", kind], ["mean variance of a latent as it stands", measured(space["variance"])]]
        for name in ("reconstruction_sum", "rate_nats", "bound_nats"):
            value, error, _ = entry(record.get("autoencoder"), name)
            if value is not None:
                rows.append([TITLES[name], measured(value, error)])
        each = [
            [SCALES[scale], measured(found["factor"]), measured(found["leading_eigenvalue"]), _timestep(found)]
            for scale, found in scales.items()
        ]
    except (KeyError, TypeError, ValueError, AttributeError):
        return missing(*NO_TABLE)
    head = ("scale", "factor", "leading eigenvalue Λ of the covariance", "speciation, abar = 1/Λ, timestep")
    return table(("", ""), rows, numbers=(1,)) + table(head, each, numbers=(1, 2, 3))


TITLES = {
    "reconstruction_sum": "reconstruction: squared error summed over an image, pixels in [0, 1]",
    "rate_nats": "rate R, nats / image",
    "bound_nats": "bound on −log p(x), D + R, nats / image",
}


def _timestep(found: dict[str, Any]) -> str:
    at = found["speciation"]["timestep"]
    return "never" if at is None else f"{at:.0f}"


def space_windows_section(workdir: Workdir, gallery: Gallery) -> str:
    """The windows of every feature at each scale: a figure and a table."""
    try:
        scales = dict(workdir.record("table")["scales"])
        first = next(iter(scales.values()))
        timesteps, abar = (np.array(first[key], np.float64) for key in ("timesteps", "abar"))
        series = {SCALES[scale]: dict(found["features"]) for scale, found in scales.items()}
        drawn = timeline_figure(series, timesteps, abar, {})
        rows = [
            [escape(name), SCALES[scale], *window_cells(part["windows"], part.get("windows_standard_error")),
             *window_cells(part["held_windows"], part.get("held_windows_standard_error"))]
            for name in first["features"] for scale, found in scales.items()
            for part in [found["features"][name]]
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration):
        return missing(*NO_TABLE)
    picture = panel(gallery.save("space_windows", drawn), alt="windows of all features at each scale", wide=True)
    head = ("feature", "scale", "95% of all remaining", "50%", "5%", "95% of what is held", "50%", "5%")
    return figure([picture], f"{CAPTION} {SCALE_LAW}") + table(head, rows, numbers=(2, 3, 4, 5, 6, 7))


def space_curves_section(workdir: Workdir, gallery: Gallery) -> str:
    """A panel for each feature: the exact curve at each scale."""
    try:
        scales = dict(workdir.record("table")["scales"])
        panels = []
        for name in next(iter(scales.values()))["features"]:
            drawn = scale_curves(name, scales)
            panels.append(panel(gallery.save(f"space_{name}", drawn), alt=f"exact curves of {name} at each scale"))
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration):
        return missing(*NO_TABLE)
    caption = (
        "Score of the best possible probe of each feature of the noisy latents, by the exact posterior over the "
        "encoded images (band: ± 2 standard errors). At timestep 0 it is what the latents hold of the feature."
    )
    return figure(panels, caption)


def scale_curves(name: str, scales: dict[str, Any]):
    """R² or accuracy of a feature over timesteps, one line for each scale."""
    parts = {scale: found["features"][name]["exact"] for scale, found in scales.items()}
    key = "r2" if all("r2" in part for part in parts.values()) else "accuracy"
    drawn, axes = style.panel(title=name, xlabel="timestep", ylabel="R²" if key == "r2" else key)
    for colour, (scale, part) in zip(style.LINE_COLOURS, parts.items(), strict=False):
        style.curve(axes, np.array(scales[scale]["timesteps"]), part, key, colour=colour, label=SCALES[scale])
    axes.set_ylim(-0.03, 1.03)
    style.legend(axes)
    return drawn


def held_section(workdir: Workdir, gallery: Gallery) -> str:
    """What the latents hold of each feature without noise, and the gaps of the probes at each scale."""
    try:
        scales = dict(workdir.record("table")["scales"])
        first = next(iter(scales.values()))["features"]
        rows = []
        for name, part in first.items():
            curves = part["exact"]
            gaps = [gap_cell(found["features"][name].get("probe")) for found in scales.values()]
            accuracy = measured(curves["accuracy"][0], curves["accuracy_standard_error"][0])
            rows.append([escape(name), accuracy, f"{part['held']:.1%}", *gaps])
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration):
        return missing(*NO_TABLE)
    share = "R² of a feature with values, else information / entropy"
    text = f"<p>At timestep 0. Share held: {share}. Gap: exact curve minus trained probe, the largest over all "
    text += "timesteps, and where it is; the number of timesteps at which the probe is flagged.</p>"
    head = ("feature", "accuracy", "share held", *(f"largest gap, {SCALES[scale]}" for scale in scales))
    return text + table(head, rows, numbers=tuple(range(1, 3 + len(scales))))


def gap_cell(gap: dict[str, Any] | None) -> str:
    """The largest gap ± its error, and where it is."""
    if not gap:
        return "—"
    short = f"; {len(gap['falls_short'])} flagged" if gap["falls_short"] else ""
    return f"{measured(gap['largest_gap'], gap['standard_error'])} at {gap['timestep']}{short}"


SPACE = Section("space", "The space", space_section)
SPACE_WINDOWS = Section("space_windows", "When features are destroyed, at each scale", space_windows_section)
SPACE_CURVES = Section("space_curves", "Exact curves at each scale", space_curves_section)
HELD = Section("held", "What the latents hold", held_section)
