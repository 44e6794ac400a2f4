"""Samples: grids of images, images generated from codes, and images along the sampler's chain."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from vdm_jax.base.images import DRAWN_WHOLE, page_rows
from vdm_jax.report.page import Section
from vdm_jax.report.primitives import image_figures
from vdm_jax.report.primitives.markup import NO_CODE, Gallery, figure, missing, not_applicable, panel, table
from vdm_jax.report.primitives.measured import measured, rows_of, standard_error
from vdm_jax.report.primitives.workdir import Workdir, is_number, leaves

MAX_ROWS, MAX_COLUMNS = 8, 12
DISTANCES = {
    "frechet": "Fréchet distance, features of a classifier of these data",
    "fid": "FID",
    "frechet_other_weights": "Fréchet distance, InceptionV3 with other weights",
}
DISTANCE_HEAD = ("distance to training images", "generated", "with {} of test images", "real images", "images N")
LIKENESS = {"psnr": "PSNR, dB", "rmse": "RMSE, of a range of 1", "ssim": "SSIM"}


def samples_section(workdir: Workdir, gallery: Gallery) -> str:
    """Real images, and images generated with w from the prior and from the aggregate posterior, or under labels."""
    titles = {"real": "real", "prior": "generated, w from the prior", "aggregate": "generated, w of test images"}
    if workdir.is_unconditional:
        titles = {"real": "real", "prior": "generated"}
    if workdir.condition == "label":
        titles |= {"prior": "generated, labels of training images", "aggregate": "generated, labels of test images"}
    panels, images_shape = [], ()
    for name, title in titles.items():
        if (images := workdir.images(name)) is not None:
            images_shape, drawn = images.shape, image_figures.grid_figure(images)
            panels.append(panel(gallery.save(f"samples_{name}", drawn), alt=title, label=title))
    if not panels:
        html = image_table(workdir)
        absent = missing("There are no samples yet", "sample")
        return f"{absent}{html}" if html else absent
    what = f"Real images and uncurated generated images{_how_sampled(workdir)}.{_channels(images_shape)}"
    return figure(panels, what) + image_table(workdir)


def _channels(shape: Sequence[int]) -> str:
    """A sentence where the channels of an image [..., C] are drawn one by one."""
    return "" if shape[-1] in DRAWN_WHOLE else f" The {shape[-1]} channels of an image are side by side, in grey."


def _how_sampled(workdir: Workdir) -> str:
    """ " of step 2,400 (ema weights) by 100 steps of ancestral", if it is recorded."""
    about, settings = workdir.samples, leaves(workdir.samples.get("settings"))
    sampler, num_steps = (settings.get(("sample", key)) for key in ("sampler", "num_steps"))
    if not is_number(about.get("checkpoint_step")) or sampler is None:
        return ""
    sampler = f"{num_steps} steps of {sampler}"
    return f" of step {about['checkpoint_step']:,} ({about.get('weights')} weights) by {sampler}"


def image_table(workdir: Workdir) -> str:
    """The distances of generated images to the data, and the errors of reconstructions, that evaluate.json has; ""
    where it has none."""
    html, values = "", workdir.evaluate
    rows = [row for key, title in DISTANCES.items() if any((row := _distance_row(values, title, key))[1:])]
    if rows:
        columns = [i for i in range(len(DISTANCE_HEAD)) if any(row[i] for row in rows)]
        given = "labels" if workdir.condition == "label" else "w"
        head, cells = [DISTANCE_HEAD[i].format(given) for i in columns], [[row[i] for i in columns] for row in rows]
        html += table(head, cells, numbers=range(1, len(columns)))
    likeness = {key: values[key] for key in LIKENESS if is_number(values.get(key))}
    if likeness:
        errors = {f"{key}_standard_error": standard_error(values, key) for key in likeness}
        number = values.get("likeness_num_images")
        over = f", {number:,} test images" if is_number(number) else ""
        head = [f"test images against images generated from their codes (mean ± one standard error{over})", ""]
        html += table(head, rows_of(workdir, likeness | errors, LIKENESS), numbers=(1,))
    return html


def _distance_row(values: dict[str, Any], title: str, key: str) -> list[str]:
    """The cells under `DISTANCE_HEAD`; "" where a number is unknown."""
    own, aggregate = values.get(key), values.get(f"{key}_aggregate")
    if isinstance(own, dict):  # that of the classifier has its floor and N inside
        aggregate = aggregate.get("distance") if isinstance(aggregate, dict) else None
        found = [own.get("distance"), aggregate, own.get("real_vs_real_floor"), own.get("num_images")]
    else:
        found = [own, aggregate, values.get(f"{key}_real"), values.get(f"{key}_num_images")]
    return [escape(title), *(measured(value) if is_number(value) else "" for value in found)]


def _num_rows(images: np.ndarray) -> int:
    """The number of rows of a picture of rows of K images [N, K, H, W, C]."""
    return min(MAX_ROWS, page_rows(*images.shape[2:], images.shape[1]))


def guided_section(workdir: Workdir, gallery: Gallery) -> str:
    """Source images, and k images generated from the code or label of each."""
    arrays, given = workdir.arrays("samples/guided.npz", "source", "generated"), workdir.condition
    if not given:
        return not_applicable(f"{NO_CODE} to generate from.")
    if arrays is None:
        return missing("There is no readable samples/guided.npz yet", "sample")
    source, generated = arrays["source"], arrays["generated"][:, :MAX_COLUMNS]
    rows = _num_rows(generated)
    drawn = image_figures.guided_figure(source[:rows], generated[:rows], given)
    return figure(
        [panel(gallery.save("guided", drawn), alt=f"sources and images generated from their {given}", wide=True)],
        f"Each row: a test image, then images generated from new noise under its {given}. The properties that are "
        f"constant along a row are held by the {given}.{_channels(source.shape)}",
    )


def chain_section(workdir: Workdir, gallery: Gallery) -> str:
    """Images along the sampler's chain under the code or label of a source image."""
    arrays = workdir.arrays("samples/chain.npz", "source", "chain", "times")
    if arrays is None and not workdir.condition:
        return not_applicable(f"{NO_CODE} to reconstruct from.")
    if arrays is None:
        return missing("There is no readable samples/chain.npz yet", "sample")
    source, times = arrays["source"], arrays["times"]
    columns = np.unique(np.linspace(0, len(times) - 1, min(MAX_COLUMNS, len(times))).round().astype(int))
    chain = arrays["chain"][:, columns]
    rows = _num_rows(chain)
    made = "an image under its label" if workdir.condition == "label" else "its reconstruction"
    drawn = image_figures.chain_figure(source[:rows], chain[:rows], times[columns])
    return figure(
        [panel(gallery.save("chain", drawn), alt="images along the chain", wide=True)],
        f"Each row: a test image, then {made} along the sampler's chain, from noise at "
        f"t\u00a0=\u00a01 to t\u00a0=\u00a00.{_channels(source.shape)}",
    )


def path_section(workdir: Workdir, gallery: Gallery) -> str:
    """Samples along the sampler's path from noise."""
    arrays = workdir.arrays("samples/path.npz", "path", "times")
    if arrays is None:
        return missing("There is no readable samples/path.npz yet", "sample")
    times = arrays["times"]
    columns = np.unique(np.linspace(0, len(times) - 1, min(MAX_COLUMNS, len(times))).round().astype(int))
    path = arrays["path"][:, columns]
    drawn = image_figures.path_figure(path[: _num_rows(path)], times[columns])
    return figure(
        [panel(gallery.save("path", drawn), alt="samples along the path from noise", wide=True)],
        "Each row: one sample along the sampler's path from noise at t\u00a0=\u00a01 to an image. The last column "
        f"shows the first generated images of the grid above, before their pixels are rounded to levels."
        f"{_channels(path.shape)}",
    )


SAMPLES = Section("samples", "Samples", samples_section)
GUIDED = Section("guided", "Guided generation", guided_section)
RECONSTRUCTION = Section("chain", "Reconstruction along the chain", chain_section)
PATH = Section("path", "From noise to image", path_section)
