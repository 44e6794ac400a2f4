"""The bound by log SNR."""

import numpy as np

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import figures
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel
from vdm_jax.report.primitives.workdir import Workdir

CURVES = {"own": "own w", "shuffled": "w of other images", "from_prior": "w from the prior"}


def logsnr_section(workdir: Workdir, gallery: Gallery) -> str:
    """The integrand of the diffusion term by log SNR, and the cost of the code of another image."""
    arrays = workdir.arrays("evaluate_curves.npz", "logsnr", "own")
    if arrays is None:
        return missing("There is no readable evaluate_curves.npz yet", "evaluate")
    logsnr = arrays["logsnr"]
    none = np.zeros_like(logsnr)
    curves = {name: (arrays[key], arrays.get(f"{key}_se", none)) for key, name in CURVES.items() if key in arrays}
    own = curves["own w"][0]
    costs = {
        name: (arrays.get(f"{key}_cost", curves[name][0] - own), arrays.get(f"{key}_cost_se", none))
        for key, name in CURVES.items()
        if name in curves and key != "own"
    }
    shown = curves if costs else {"eps_hat": curves["own w"]}
    panels = [panel(gallery.save("bound_by_logsnr", figures.bound_by_logsnr(logsnr, shown)), alt="bound by log SNR")]
    caption = (
        "Half the squared error of the predicted noise at each log SNR on test images (band: ± 2 standard errors). "
        f"The area under the blue curve, {figures.area(logsnr, own):.1f} nats per image by the trapezoidal rule, is "
        "the diffusion term over this range"
    )
    if costs:
        drawn = figures.code_gain(logsnr, costs)
        panels.append(panel(gallery.save("code_gain", drawn), alt="what a wrong code costs, by log SNR"))
        areas = ", ".join(f"{figures.area(logsnr, mean):.1f} nats ({name})" for name, (mean, _) in costs.items())
        caption += f". Right: the cost of another code. The areas under its curves are {areas}"
    return figure(panels, caption + ".")


LOGSNR = Section("logsnr", "The bound by log SNR", logsnr_section)
