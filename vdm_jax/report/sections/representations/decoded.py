"""What the codes decode to: reconstructions, and images between two codes, from decoded.json and decoded.npz."""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from vdm_jax.report.page import Section
from vdm_jax.report.primitives.code_measures import name_of
from vdm_jax.report.primitives.image_figures import rows_figure
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel, table
from vdm_jax.report.primitives.measured import entry, measured, plain
from vdm_jax.report.primitives.workdir import Workdir

NO_RECORD = ("There are no readable decoded.json and decoded.npz yet", "decode")
KINDS = {"own": "own decoder", "linear": "linear decoder"}
COLUMNS = {"rmse": "RMSE", "ssim": "SSIM", "identified": "identified"}
CAPTION = (
    "Test images (first row) and their reconstructions. A diffusion model samples from noise with the code alone, all "
    "models from the same noise. Linear decoder: the best linear map from the code to pixels. Not selected."
)
PATH_CAPTION = (
    "Images of the codes on the straight line between those of two test images, of different classes where there are "
    "any. A diffusion model starts from one noise for each line. Not selected."
)


def reconstructions_section(workdir: Workdir, gallery: Gallery) -> str:
    """The reconstructions of all codes, a figure and a table."""
    record, arrays = workdir.record("decoded"), workdir.arrays("decoded.npz", "source")
    try:
        rows = [
            [escape(name_of(name)), KINDS[kind], *(_cell(part["reconstruction"], key) for key in COLUMNS)]
            for kind in KINDS
            for name, part in record[kind].items()
        ]
        shown = {f"{name_of(name)}": arrays[f"own {name}"] for name in record["own"]} if arrays else {}
        shown |= {f"{name_of(name)}, linear": arrays[f"linear {name}"] for name in _linear(record)} if arrays else {}
        number = next(entry(part, "reconstruction", "rmse")[2] for kind in KINDS for part in record[kind].values())
    except (KeyError, TypeError, AttributeError, StopIteration):
        return missing(*NO_RECORD)
    html = ""
    if shown and arrays:
        drawn = rows_figure(np.stack([arrays["source"], *shown.values()]), row_names=["test images", *shown])
        html = figure([panel(gallery.save("reconstructions", drawn), alt="reconstructions", wide=True)], CAPTION)
    text = (
        f"<p>Of {plain(number or 0)} test images, pixels in [0, 1], ± one standard error over images. Identified: the "
        "share of reconstructions whose nearest test image is the original.</p>"
    )
    return html + table(("code", "decoder", *COLUMNS.values()), rows, numbers=(2, 3, 4)) + text


def _linear(record: Mapping[str, Any]) -> list[str]:
    """The codes whose linear reconstructions are drawn: those without a decoder of their own that need no training."""
    return [name for name in record["linear"] if name.startswith(("pca", "random"))]


def _cell(found: Mapping[str, Any], key: str) -> str:
    value, error, _ = entry(found, key)
    return measured(value, error)


def interpolations_section(workdir: Workdir, gallery: Gallery) -> str:
    """Images between two codes, and how far from the data they are."""
    record, arrays = workdir.record("decoded"), workdir.arrays("decoded.npz", "source")
    try:
        rows = [
            [escape(name_of(name)), KINDS[kind], _cell(part, "interpolation")]
            for kind in KINDS
            for name, part in record[kind].items()
        ]
        references = [_cell(record["references"], name) for name in ("test_images", "blends")]
        paths = {name: arrays[f"own {name} path"] for name in record["own"]} if arrays else {}
        number = entry(record["references"], "blends")[2]
    except (KeyError, TypeError, AttributeError):
        return missing(*NO_RECORD)
    panels = []
    for name, path in paths.items():
        drawn = rows_figure(path, column_names=[f"{share:.2f}" for share in np.linspace(0, 1, path.shape[1])])
        picture = gallery.save(f"interpolations_{name.replace('@', '_')}", drawn)
        panels.append(panel(picture, alt=f"images between codes of {name_of(name)}", label=name_of(name), wide=True))
    html = figure(panels, PATH_CAPTION) if panels else ""
    rows += [["test images themselves", "—", references[0]], ["pixels of both images mixed", "—", references[1]]]
    text = (
        f"<p>Mean RMSE of the inner points of {plain(number or 0)} lines to their nearest training image, pixels in "
        "[0, 1], ± one standard error over lines. A code that stays on the data is as near as test images are.</p>"
    )
    return html + table(("code", "decoder", "RMSE to the nearest training image"), rows, numbers=(2,)) + text


CODE_RECONSTRUCTIONS = Section("reconstructions", "Reconstructions", reconstructions_section)
CODE_INTERPOLATIONS = Section("interpolations", "Between two codes", interpolations_section)
