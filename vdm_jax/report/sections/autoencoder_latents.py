"""The latent space of an autoencoder: moments, prior samples, interpolations, traversals, heat maps, codebook."""

from html import escape
from typing import Any

import numpy as np

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import image_figures, latent_figures
from vdm_jax.report.primitives.markup import Gallery, figure, missing, not_applicable, panel, table
from vdm_jax.report.primitives.measured import entry, measured, plain
from vdm_jax.report.primitives.workdir import Workdir, section_of

ARRAYS = "evaluate_latents.npz"
OF_PRIOR = "of_prior_draws"  # in the entry of a biased number
MAX_ROWS, MAX_MAPS = 8, 16
AGGREGATE = {
    "mean_norm": "norm of the mean of the latents",
    "mmd": "MMD² of the aggregate posterior from the prior",
    "gaussian_kl": "KL of a Gaussian with the aggregate's mean and covariance from N(0, I), nats",
    "leading_eigenvalue": "largest eigenvalue of the aggregate's covariance",
}
PRIORS = {
    "gaussian": {"prior": "u from N(0, I)"},
    "deterministic": {
        "prior": "u from a Gaussian with the latents' mean and deviation per component",
        "prior_covariance": "u from a Gaussian with the latents' mean and covariance",
    },
    "quantised": {"prior": "codes drawn from their frequencies at each place, places independent"},
}


def code_of(workdir: Workdir) -> str:
    """gaussian, deterministic or quantised."""
    return str(section_of(workdir.config, "model").get("code", "gaussian"))


def latent_section(workdir: Workdir, gallery: Gallery) -> str:
    """Eigenvalues of the aggregate's covariance, KL per dimension, moments, active units, covariance of the means."""
    values = workdir.evaluate
    if not values:
        return missing("There is no readable evaluate.json yet", "evaluate")
    arrays = workdir.arrays(ARRAYS) or {}
    aggregate = values.get("aggregate")
    aggregate = aggregate if isinstance(aggregate, dict) else {}
    panels, sentences = [], []
    eigenvalues = np.asarray(aggregate.get("covariance_eigenvalues") or [], np.float64)
    if eigenvalues.size:
        drawn = latent_figures.eigenvalues(eigenvalues)
        panels.append(panel(gallery.save("latent_eigenvalues", drawn), alt="eigenvalues of the latents' covariance"))
        sentences.append(
            "Eigenvalues of the covariance of the latents (aggregate posterior); those of N(0, I) are 1 (dashed)"
        )
    if "kl_per_dim" in arrays:
        drawn = latent_figures.kl_per_dimension(arrays["kl_per_dim"])
        panels.append(panel(gallery.save("latent_kl", drawn), alt="rate of each latent"))
        sentences.append("Rate of each latent in nats, the mean KL(q(u_i | x) ‖ N(0, 1)), in descending order")
    if "mean_covariance" in arrays and len(arrays["mean_covariance"]) > 1:
        drawn = latent_figures.covariance(arrays["mean_covariance"])
        panels.append(panel(gallery.save("latent_covariance", drawn), alt="covariance of the latents' means"))
        sentences.append("Covariance of the means of the leading latents; DIP-VAE I moves it towards the identity")
    rows = [
        [escape(name + _of_prior(values, place)), measured(value, error)]
        for place, name in _places()
        for value, error, _ in [entry(values, *place)]
        if value is not None
    ]
    if not panels and not rows:
        return missing("There are no numbers of the latent space yet", "evaluate")
    count = entry(values, "aggregate", "mean_norm")[2] or entry(values, "num_images")[0]
    caption = f"{'. '.join(sentences)}. Of{'' if count is None else f' {plain(count)}'} test images."
    shown = figure(panels, caption) if panels else ""
    return shown + (table(["", ""], rows, numbers=(1,)) if rows else "")


def _of_prior(values: dict[str, Any], place: tuple[str, ...]) -> str:
    """What as many draws from the prior give, where the number is biased; "" where the record does not say it."""
    found, _, _ = entry(values, *place, OF_PRIOR)
    return "" if found is None else f" (as many draws from N(0, I): about {plain(found)})"


def _places() -> list[tuple[tuple[str, ...], str]]:
    counts = {"active_units": "active units (variance of the mean above 0.01)"}
    vq = {"codebook_usage": "share of the codes that are used", "codebook_perplexity": "perplexity of the codes"}
    flat = [((key,), name) for key, name in (counts | vq).items()]
    return flat + [(("aggregate", key), name) for key, name in AGGREGATE.items()]


def prior_section(workdir: Workdir, gallery: Gallery) -> str:
    """Decoded prior samples, the share of them on the data, and the holes between data."""
    panels = []
    for name, title in {"real": "test images", **PRIORS.get(code_of(workdir), PRIORS["gaussian"])}.items():
        if (images := workdir.images(name)) is not None:
            drawn = image_figures.grid_figure(images)
            panels.append(panel(gallery.save(f"samples_{name}", drawn), alt=title, label=title))
    rows = _on_data_rows(workdir)
    numbers = table(["", "share ± standard error", "N"], rows, numbers=(1, 2)) if rows else ""
    if not panels:
        absent = missing("There are no samples yet", "sample")
        return f"{absent}{numbers}" if numbers else absent
    return figure(panels, "Test images, and decoded draws of the latents u. Not selected.") + numbers


def _on_data_rows(workdir: Workdir) -> list[list[str]]:
    values = workdir.evaluate
    within = section_of(workdir.evaluate.get("settings") or workdir.config, "evaluate").get("on_data")
    near = f"within {within:g} root mean square a pixel of a data image" if within else "near a data image"
    names = {
        "prior_samples_on_data": f"prior samples {near}",
        "prior_samples_on_data_covariance": f"prior samples with the latents' covariance {near}",
        "reconstructions_on_data": f"reconstructions {near}",
        "holes": "holes: midpoints between the latents of two test images whose decoding is near no data image",
        "holes_of_interpolations": "steps of interpolations, ends left out, whose decoding is near no data image",
    }
    found = {name: entry(values, key) for key, name in names.items()}
    return [
        [escape(name), measured(value, error), plain(number) if number else "—"]
        for name, (value, error, number) in found.items()
        if value is not None
    ]


def interpolation_section(workdir: Workdir, gallery: Gallery) -> str:
    """Decoded points on the line between the latents of two test images."""
    arrays = workdir.arrays("samples/interpolations.npz", "first", "between", "last")
    if arrays is None:
        return missing("There are no interpolations yet", "sample")
    first, between, last = (arrays[name][:MAX_ROWS] for name in ("first", "between", "last"))
    drawn = image_figures.between_figure(first, between, last)
    steps = between.shape[1]
    return figure(
        [panel(gallery.save("interpolations", drawn), alt="interpolations of test pairs", wide=True)],
        f"Each row: test image a, {steps} evenly spaced points from the mean latents of a to those of b, decoded, and "
        "test image b. The columns name the share of the way; at 0 and 1 are the reconstructions.",
    )


def traversal_section(workdir: Workdir, gallery: Gallery) -> str:
    """One latent moved at a time, the leading ones, for a few test images."""
    needed = ("source", "traversals", "dimensions", "deviations", "scores", "by")
    arrays = workdir.arrays("samples/traversals.npz", *needed)
    if code_of(workdir) == "quantised":
        return not_applicable("Quantised latents have no continuous dimension to move along.")
    if arrays is None:
        return missing("There are no traversals yet", "sample")
    by = str(arrays["by"])
    names = [f"u{i}: {score:.2g}" for i, score in zip(arrays["dimensions"], arrays["scores"], strict=True)]
    columns = [f"{each:+.1f}" for each in arrays["deviations"]]
    panels = []
    for i, images in enumerate(arrays["traversals"]):
        drawn = image_figures.rows_figure(images, row_names=names, column_names=columns)
        panels.append(
            panel(
                gallery.save(f"traversals_{i}", drawn),
                alt=f"traversals of test image {i}",
                label=f"test image {i}",
                wide=True,
            )
        )
    unit = "rate in nats" if by == "rate" else "variance of the mean over test images"
    return figure(
        panels,
        f"One latent is moved; the others are at the means of a test image. Rows: the leading latents by {by}, with "
        f"the {unit}. Columns: the latent is at its average over test images plus so many deviations of its mean.",
    )


def heat_map_section(workdir: Workdir, gallery: Gallery) -> str:
    """The channels of spatial latents as maps."""
    arrays = workdir.arrays("samples/heat_maps.npz", "source", "maps")
    if section_of(workdir.config, "model").get("backbone", "fc") == "fc":
        return not_applicable("The latents of this backbone are a vector, not a map.")
    if arrays is None:
        return missing("There are no heat maps of the latents yet", "sample")
    drawn = image_figures.heat_map_figure(arrays["source"][:MAX_ROWS], arrays["maps"][:MAX_ROWS, ..., :MAX_MAPS])
    return figure(
        [panel(gallery.save("heat_maps", drawn), alt="channels of the latents as maps", wide=True)],
        "Test images and the channels of their mean latents: red above and blue below zero, white zero. The colours of "
        "a channel end at its largest absolute value over these images.",
    )


def codebook_section(workdir: Workdir, gallery: Gallery) -> str:
    """How often each code of a quantised space is used."""
    if code_of(workdir) != "quantised":
        return not_applicable("The latents are continuous: there is no codebook.")
    arrays = workdir.arrays("samples/codes.npz", "frequencies", "num_images")
    if arrays is None:
        return missing("There are no frequencies of codes yet", "sample")
    shares = arrays["frequencies"]
    used, entropy = int((shares > 0).sum()), float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
    drawn = latent_figures.code_usage(shares)
    caption = (
        f"Share of each of {len(shares):,} codes among the codes of {int(arrays['num_images']):,} test images, in "
        f"descending order. {used:,} are used; the perplexity is {np.exp(entropy):,.1f} (dashed: equal shares)."
    )
    return figure([panel(gallery.save("codebook", drawn), alt="usage of the codes")], caption)


LATENT_SPACE = Section("latents", "The latent space", latent_section)
PRIOR_SAMPLES = Section("prior", "Prior samples and holes", prior_section)
INTERPOLATIONS = Section("interpolations", "Interpolations", interpolation_section)
TRAVERSALS = Section("traversals", "Traversals", traversal_section)
HEAT_MAPS = Section("heat-maps", "Heat maps of the latents", heat_map_section)
CODEBOOK = Section("codebook", "The codebook", codebook_section)
