"""Generated sets by method and start: coverage, diversity and distances in a table, and what they start from."""

from html import escape
from typing import Any

import numpy as np

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import image_figures
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel, table
from vdm_jax.report.primitives.measured import measured, plain
from vdm_jax.report.primitives.workdir import Workdir

COLUMNS = {
    "distinct": ("diversity", "distinct"),
    "distance of two": ("diversity", "distance"),
    "covered": ("diversity", "covered"),
    "no sprite": ("coverage", "not_a_sprite"),
    "kinds hit": ("coverage", "readers", "exact", "histograms", "kind", "num_hit"),
    "KL of kinds, nats": ("coverage", "readers", "exact", "histograms", "kind", "kl_nats"),
    "Fréchet": ("frechet", "distance"),
}
REAL = {
    "distinct": ("diversity", "distinct_real"),
    "distance of two": ("diversity", "distance_real"),
    "covered": ("diversity", "covered_by_real"),
    "kinds hit": ("coverage", "readers", "exact", "histograms", "kind", "num_hit_expected"),
    "KL of kinds, nats": ("coverage", "readers", "exact", "histograms", "kind", "kl_expected_nats"),
    "Fréchet": ("frechet", "real_vs_real_floor"),
}
NONE = missing("There are no readable generated sets in evaluate.json yet", "evaluate")
CAPTION = (
    "Each row: METHOD:STEPS:START. The start data is D(x, 1) of test images; gaussian and mixture are fitted to"
    " D(x, 1) of training images. distinct: the share of images that are the first of their kind. distance of two: the "
    "mean RMS between two images, pixels in [0, 1]. covered: the share of real images with a generated one nearer than "
    "their fifth nearest real one. Last row: other real images, the best that can be expected of as many draws."
)


def sets_section(workdir: Workdir, gallery: Gallery) -> str:
    """A table of all sets of evaluate.json, and real images as its last row."""
    sets = workdir.evaluate.get("sets")
    if not isinstance(sets, dict) or not sets:
        return NONE
    rows = [(name, row, COLUMNS) for name, row in sets.items()] + [("real images", next(reversed(sets.values())), REAL)]
    found = [(name, [_at(row, places.get(title)) for title in COLUMNS]) for name, row, places in rows]
    shown = [i for i in range(len(COLUMNS)) if any(values[i] is not None for _, values in found)]
    cells = [[escape(name), *(measured(values[i]) for i in shown)] for name, values in found]
    head = ["set", *(list(COLUMNS)[i] for i in shown)]
    number = max(row.get("num_images", 0) for row in sets.values())
    return (
        table(head, cells, numbers=range(1, len(head)))
        + f"<p>{escape(CAPTION)} N = {plain(number)} a set, at most one for each test image from data.</p>"
    )


def _at(row: Any, place: tuple[str, ...] | None) -> float | None:
    for name in place or ("",):
        row = row.get(name) if isinstance(row, dict) else None
    return row


def strips_section(workdir: Workdir, gallery: Gallery) -> str:
    """Degraded test images over time, and their restorations in one evaluation."""
    panels, shape = [], 0
    for name, title in (("degraded", "degraded, z_t"), ("restored", "restored, R(z_t, t)")):
        arrays = workdir.arrays(f"samples/{name}.npz", name, "times")
        if arrays is None:
            return missing(f"There is no readable samples/{name}.npz yet", "sample")
        drawn = image_figures.path_figure(arrays[name], arrays["times"])
        panels.append(panel(gallery.save(f"strip_{name}", drawn), alt=title, label=title, wide=True))
        shape = len(arrays[name])
    what = f"{shape} test images on their way to t = 1, and what R makes of each z_t in one evaluation."
    return figure(panels, f"{what} Where z_t says little of x, R is a mean of many images.")


def chain_section(workdir: Workdir, gallery: Gallery) -> str:
    """z_t of generated images on the way from their start."""
    arrays = workdir.arrays("samples/path.npz", "path", "times")
    if arrays is None:
        return missing("There is no readable samples/path.npz yet", "sample")
    drawn = image_figures.path_figure(arrays["path"], np.asarray(arrays["times"]))
    settings = workdir.samples.get("settings")
    own = settings.get("sample", {}) if isinstance(settings, dict) else {}
    how = f" ({own.get('method')}, {own.get('num_steps')} steps, start {own.get('start')})"
    text = f"Each row: one image on the way from its start at t = 1{how}. The last column is what is generated."
    return figure([panel(gallery.save("path", drawn), alt="chains from their start", wide=True)], text)


SETS = Section("sets", "Diversity and coverage", sets_section)
RESTORED_STRIPS = Section("strips", "Degraded and restored", strips_section)
FROM_START = Section("path", "From the start to an image", chain_section)
