"""Samples: grids of images, images generated from codes, and images along the sampler's chain."""

import numpy as np

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import image_figures
from vdm_jax.report.primitives.markup import NO_CODE, Gallery, figure, missing, not_applicable, panel, table
from vdm_jax.report.primitives.measured import rows_of
from vdm_jax.report.primitives.workdir import Workdir, is_number, leaves

MAX_ROWS, MAX_COLUMNS = 8, 12
IMAGE_METRICS = {"psnr": "PSNR, dB", "rmse": "RMSE", "ssim": "SSIM", "frechet": "Fréchet distance", "fid": "FID"}
CURVES = ("frechet_by_n",)  # drawn, and no row of a table


def samples_section(workdir: Workdir, gallery: Gallery) -> str:
    """Real images, and images generated with w from the prior and from the aggregate posterior."""
    titles = {"real": "real", "prior": "generated, w from the prior", "aggregate": "generated, w of test images"}
    if workdir.is_unconditional:
        titles = {"real": "real", "prior": "generated"}
    panels = []
    for name, title in titles.items():
        if (images := workdir.images(name)) is not None:
            drawn = image_figures.grid_figure(images)
            panels.append(panel(gallery.save(f"samples_{name}", drawn), alt=title, label=title))
    if not panels:
        return missing("There are no sample grids yet", "sample") + image_table(workdir)
    what = f"Real images and uncurated generated images{_how_sampled(workdir)}."
    return figure(panels, what) + image_table(workdir)


def _how_sampled(workdir: Workdir) -> str:
    """ " of step 2,400 (ema weights) by 100 steps of ancestral", if it is recorded."""
    about, settings = workdir.samples, leaves(workdir.samples.get("settings"))
    sampler, num_steps = (settings.get(("sample", key)) for key in ("sampler", "num_steps"))
    if not is_number(about.get("checkpoint_step")) or sampler is None:
        return ""
    sampler = f"{num_steps} steps of {sampler}"
    return f" of step {about['checkpoint_step']:,} ({about.get('weights')} weights) by {sampler}"


def image_table(workdir: Workdir) -> str:
    """The Fréchet distances and per-image errors that evaluate.json has."""
    mine = {k: v for k, v in workdir.evaluate.items() if k.startswith(tuple(IMAGE_METRICS)) and k not in CURVES}
    if not mine:
        return missing("There are no image metrics yet", "evaluate")
    return table(["", ""], rows_of(workdir, mine, IMAGE_METRICS), numbers=(1,))


def guided_section(workdir: Workdir, gallery: Gallery) -> str:
    """Source images, and k images generated from the code of each."""
    arrays = workdir.arrays("samples/guided.npz", "source", "generated")
    if workdir.is_unconditional:
        return not_applicable(f"{NO_CODE} to generate from.")
    if arrays is None:
        return missing("There is no readable samples/guided.npz yet", "sample")
    drawn = image_figures.guided_figure(arrays["source"][:MAX_ROWS], arrays["generated"][:MAX_ROWS, :MAX_COLUMNS])
    return figure(
        [panel(gallery.save("guided", drawn), alt="sources and images generated from their codes", wide=True)],
        "Each row: a test image, then images generated from new noise under its code. The properties that are constant "
        "along a row are held by the code.",
    )


def chain_section(workdir: Workdir, gallery: Gallery) -> str:
    """Images along the sampler's chain under the code of a source image."""
    arrays = workdir.arrays("samples/chain.npz", "source", "chain", "times")
    if arrays is None and workdir.is_unconditional:
        return not_applicable(f"{NO_CODE} to reconstruct from.")
    if arrays is None:
        return missing("There is no readable samples/chain.npz yet", "sample")
    source, chain, times = arrays["source"][:MAX_ROWS], arrays["chain"][:MAX_ROWS], arrays["times"]
    columns = np.unique(np.linspace(0, len(times) - 1, min(MAX_COLUMNS, len(times))).round().astype(int))
    drawn = image_figures.chain_figure(source, chain[:, columns], times[columns])
    return figure(
        [panel(gallery.save("chain", drawn), alt="images along the chain", wide=True)],
        "Each row: a test image, then its reconstruction along the sampler's chain, from noise at "
        "t\u00a0=\u00a01 to t\u00a0=\u00a00.",
    )


def path_section(workdir: Workdir, gallery: Gallery) -> str:
    """Samples along the sampler's path from noise."""
    arrays = workdir.arrays("samples/path.npz", "path", "times")
    if arrays is None:
        return missing("There is no readable samples/path.npz yet", "sample")
    times = arrays["times"]
    columns = np.unique(np.linspace(0, len(times) - 1, min(MAX_COLUMNS, len(times))).round().astype(int))
    drawn = image_figures.path_figure(arrays["path"][:MAX_ROWS, columns], times[columns])
    return figure(
        [panel(gallery.save("path", drawn), alt="samples along the path from noise", wide=True)],
        "Each row: one sample along the sampler's path from noise at t\u00a0=\u00a01 to an image. The last column "
        "shows the first generated images of the grid above, before their pixels are rounded to levels.",
    )


SAMPLES = Section("samples", "Samples", samples_section)
GUIDED = Section("guided", "Guided generation", guided_section)
RECONSTRUCTION = Section("chain", "Reconstruction along the chain", chain_section)
PATH = Section("path", "From noise to image", path_section)
