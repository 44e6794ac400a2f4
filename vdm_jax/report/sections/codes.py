"""The code w: its embedding, what it holds, and classifiers that read it."""

from typing import Any

import numpy as np

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import figures
from vdm_jax.report.primitives.markup import NO_CODE, Gallery, figure, missing, not_applicable, panel, table
from vdm_jax.report.primitives.measured import ERROR_SUFFIXES, flat_rows, standard_error, without_errors
from vdm_jax.report.primitives.workdir import Workdir, is_number

CODE_NUMBERS = {
    "active_units": "active units of w",
    "mi_lower_nats": "I(x; w) at least, nats (InfoNCE)",
    "mi_upper_nats": "I(x; w) at most, nats (leave-one-out mixture; the rate R is another upper bound)",
    "aggregate_prior_rate_nats": "rate under the aggregate posterior of training images, nats",
}
PROBES = {"linear_probe_accuracy": "linear", "knn_accuracy": "kNN"}
PROBED = {
    "": "w, trained",
    "_untrained": "w, untrained encoder",
    "_raw_pixels": "raw pixels",
    "_pca": "principal components",
    "_random_projection": "random projection",
}


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


def code_table(workdir: Workdir) -> str:
    """What the code holds: active units and the bounds on mutual information; empty where none was evaluated."""
    own = (*CODE_NUMBERS, *(f"{key}{suffix}" for key in CODE_NUMBERS for suffix in ERROR_SUFFIXES))
    mine = {key: workdir.evaluate[key] for key in own if key in workdir.evaluate}
    rows = flat_rows(workdir, mine, CODE_NUMBERS)
    return table(["", ""], rows, numbers=(1,)) if rows else ""


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


def probe_accuracies(values: dict[str, Any]) -> dict[str, str]:
    """Key in evaluate.json -> name, of every measured accuracy of a linear probe or of nearest neighbours."""
    names = {}
    for probe, method in PROBES.items():
        measured_keys = [k for k, v in without_errors(values).items() if k.startswith(probe) and is_number(v)]
        known = [probe + suffix for suffix in PROBED]
        for key in sorted(measured_keys, key=lambda k: known.index(k) if k in known else len(known)):
            suffix = key.removeprefix(probe)
            names[key] = f"{method}: {PROBED.get(suffix, suffix.replace('_', ' ').strip())}"
    return names


CODE = Section("code", "The code", embedding_section)
CODE_PROBES = Section("probes", "Probes of the code", probe_section)
