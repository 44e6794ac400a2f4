"""The sections that are figures: each reads its file, draws, and says in one sentence what is seen, in which units."""

import numpy as np

from vdm_jax.report import figures, image_figures
from vdm_jax.report.markup import Gallery, figure, missing, not_applicable, panel
from vdm_jax.report.numbers import PROBES, code_table, image_table, probe_accuracies, standard_error
from vdm_jax.report.workdir import Workdir, flatten, is_number

QUANTITIES = {"bound": "Bound, D + R", "distortion": "Distortion D", "rate": "Rate R"}
CURVES = {"own": "own w", "shuffled": "w of other images", "from_prior": "w from the prior"}
NO_CODE = "This model is unconditional, so it has no code w"
MAX_IMAGES, MAX_ROWS, MAX_COLUMNS = 64, 8, 12


def training_section(workdir: Workdir, gallery: Gallery) -> str:
    """Bound, distortion and rate over steps, train beside validation."""
    panels = []
    for key, title in QUANTITIES.items():
        train, validation = workdir.series("train", key), workdir.series("validation", key)
        if len(train[0]) + len(validation[0]) == 0 or (key == "rate" and workdir.is_unconditional):
            continue
        dims = workdir.num_dims if key == "bound" else None
        target = _target(workdir) if key == "rate" else None
        drawn = figures.training_curve(*train, *validation, title=title, target=target, num_dims=dims)
        panels.append(panel(gallery.save(f"training_{key}", drawn), alt=f"{title} over training steps"))
    if not panels:
        return missing("There are no training curves in metrics.jsonl yet", "train")
    what = "Nats per image over training steps, on train batches (grey) and on validation images (blue)"
    return figure(panels, f"{what}; the first fifth of the steps may lie outside the frame.")


def _target(workdir: Workdir) -> float | None:
    rate = workdir.config.get("rate")
    if not isinstance(rate, dict) or rate.get("mode") != "target" or not is_number(rate.get("target_nats")):
        return None
    return float(rate["target_nats"])


def rate_distortion_section(workdir: Workdir, gallery: Gallery) -> str:
    """The path of (R, D) on validation images, or on train batches where there is none."""
    if workdir.is_unconditional:
        return not_applicable(f"{NO_CODE}: its rate is zero and its distortion is the bound.")
    split = "validation" if len(workdir.series("validation", "rate")[0]) > 1 else "train"
    rates, distortions = (dict(zip(*workdir.series(split, key), strict=True)) for key in ("rate", "distortion"))
    steps = sorted(rates.keys() & distortions.keys())
    if not steps:
        return missing("There are no rates and distortions in metrics.jsonl yet", "train")
    rate, distortion = (np.array([values[s] for s in steps]) for values in (rates, distortions))
    drawn = figures.rate_distortion(np.array(steps), rate, distortion)
    what = "images" if split == "validation" else "batches"
    return figure(
        [panel(gallery.save("rate_distortion", drawn), alt="distortion against rate over training")],
        f"Distortion against rate on {split} {what} in nats per image, dark early and yellow late in training "
        "(the first fifth may lie outside the frame); the star is the last, and along a dotted line "
        "D\u00a0+\u00a0R stays the same.",
    )


def logsnr_section(workdir: Workdir, gallery: Gallery) -> str:
    """The integrand of the diffusion term by log SNR, and what the own code saves against another one."""
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
        f"Half the squared error of the predicted noise at each log SNR on test images (band: ± 2 standard errors); "
        f"the area under the blue curve, about {figures.area(logsnr, own):.1f} nats per image, is the "
        "diffusion term over this range (by trapezoids)"
    )
    if costs:
        drawn = figures.code_gain(logsnr, costs)
        panels.append(panel(gallery.save("code_gain", drawn), alt="what a wrong code costs, by log SNR"))
        areas = ", ".join(f"{figures.area(logsnr, mean):.1f} nats ({name})" for name, (mean, _) in costs.items())
        caption += f", and what another code costs at the right adds up to {areas}"
    return figure(panels, caption + ".")


def samples_section(workdir: Workdir, gallery: Gallery) -> str:
    """Real images, generations from the prior over w, and from the aggregate posterior."""
    titles = {"real": "real", "prior": "generated, w from the prior", "aggregate": "generated, w of test images"}
    if workdir.is_unconditional:
        titles = {"real": "real", "prior": "generated"}
    panels = []
    for name, title in titles.items():
        arrays = workdir.arrays(f"samples/{name}.npz", "images")
        if arrays is not None and len(arrays["images"]):
            drawn = image_figures.grid_figure(arrays["images"][:MAX_IMAGES])
            panels.append(panel(gallery.save(f"samples_{name}", drawn), alt=title, label=title))
    if not panels:
        return missing("There are no sample grids yet", "sample") + image_table(workdir)
    what = f"Real images beside uncurated generations{_how_sampled(workdir)}, pixel by pixel."
    return figure(panels, what) + image_table(workdir)


def _how_sampled(workdir: Workdir) -> str:
    """ " of step 2,400 (ema weights) by 100 steps of ancestral", where that is recorded."""
    about, settings = workdir.samples, flatten(workdir.samples.get("settings"))
    if not is_number(about.get("checkpoint_step")) or "sample.sampler" not in settings:
        return ""
    sampler = f"{settings.get('sample.num_steps')} steps of {settings['sample.sampler']}"
    return f" of step {about['checkpoint_step']:,} ({about.get('weights')} weights) by {sampler}"


def guided_section(workdir: Workdir, gallery: Gallery) -> str:
    """A source image beside k images generated from its code."""
    arrays = workdir.arrays("samples/guided.npz", "source", "generated")
    if workdir.is_unconditional:
        return not_applicable(f"{NO_CODE} to generate from.")
    if arrays is None:
        return missing("There is no readable samples/guided.npz yet", "sample")
    drawn = image_figures.guided_figure(arrays["source"][:MAX_ROWS], arrays["generated"][:MAX_ROWS, :MAX_COLUMNS])
    return figure(
        [panel(gallery.save("guided", drawn), alt="sources and images generated from their codes", wide=True)],
        "Each row: a test image, then images generated from fresh noise under its code; what stays the same along a "
        "row is what the code holds.",
    )


def chain_section(workdir: Workdir, gallery: Gallery) -> str:
    """The images along the sampler's chain under the code of a source image."""
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


def embedding_section(workdir: Workdir, gallery: Gallery) -> str:
    """PCA and t-SNE of the code, before training and after."""
    if workdir.is_unconditional:
        return not_applicable(f"{NO_CODE} to look at.")
    arrays = workdir.arrays("embeddings.npz")
    names = {"pca": "PCA", "tsne": "t-SNE"}
    keys = [f"{method}_{state}" for method in names for state in ("untrained", "trained")]
    if arrays is None or not any(key in arrays for key in keys):
        return missing("There is no readable embeddings.npz yet", "evaluate") + code_table(workdir)
    labels, label_names = arrays.get("labels"), [str(name) for name in arrays.get("label_names", [])]
    panels = []
    for key in filter(arrays.__contains__, keys):
        method, state = key.split("_")
        title = f"{names[method]} of w, {state} encoder"
        own = labels if labels is not None and len(labels) == len(arrays[key]) else None
        drawn = figures.scatter_by_label(arrays[key], own, title=title, label_names=label_names)
        panels.append(panel(gallery.save(key, drawn), alt=title))
    colour = ", coloured by label" if labels is not None else ""
    caption = (
        f"Codes of test images in two dimensions (axes without unit){colour}: an untrained encoder already keeps some "
        "images apart, so the trained one is to be judged beside it."
    )
    return figure(panels, caption) + code_table(workdir)


def probe_section(workdir: Workdir, gallery: Gallery) -> str:
    """Accuracy of a linear probe and of nearest neighbours on w, beside an untrained code and the raw pixels."""
    if workdir.is_unconditional:
        return not_applicable(f"{NO_CODE} to probe.")
    keys = probe_accuracies(workdir.evaluate)
    if keys:
        values = np.array([workdir.evaluate[key] for key in keys], np.float64)
        errors = np.array([standard_error(workdir.evaluate, key) or 0.0 for key in keys])
        ours = [key in PROBES for key in keys]
        title = "What classifies the test images"
        drawn = figures.accuracy_bars(list(keys.values()), values, errors, ours=ours, title=title)
        return figure(
            [panel(gallery.save("probes", drawn), alt="accuracies of probes")],
            "Share of test images whose label a linear probe or the nearest neighbours (kNN) tell from w (blue), and "
            "from what w is to be judged by (grey).",
        )
    why = workdir.reason("linear_probe_accuracy")
    return (
        not_applicable(f"There is no probe: {why}.")
        if why
        else missing("There are no probe accuracies yet", "evaluate")
    )
