"""The code w: its embedding, its information, and classifiers of it."""

from typing import Any

import numpy as np

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import figures
from vdm_jax.report.primitives.markup import NO_CODE, Gallery, figure, missing, not_applicable, panel, table
from vdm_jax.report.primitives.measured import ERROR_SUFFIXES, rows_of, standard_error, without_errors
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
    """PCA and t-SNE of the code, before and after training."""
    if workdir.is_unconditional:
        return not_applicable(f"{NO_CODE} to show.")
    arrays = workdir.arrays("embeddings.npz")
    names = {"pca": "PCA", "tsne": "t-SNE"}
    kinds = [(method, state) for method in names for state in ("untrained", "trained")]
    kinds = [kind for kind in kinds if "_".join(kind) in (arrays or {})]
    if arrays is None or not kinds:
        why, numbers = workdir.reason("embeddings"), code_table(workdir)
        absent = missing("There is no readable embeddings.npz yet", "evaluate")
        absent = not_applicable(f"There is no picture of w: {why}.") if why else absent
        return f"{absent}{numbers}" if numbers else absent
    labels, label_names = arrays.get("labels"), [str(name) for name in arrays.get("label_names", [])]
    panels = []
    for method, state in kinds:
        key = f"{method}_{state}"
        title = f"{names[method]} of w, {state} encoder"
        own = labels if labels is not None and len(labels) == len(arrays[key]) else None
        drawn = figures.scatter_by_label(arrays[key], own, title=title, label_names=label_names)
        panels.append(panel(gallery.save(key, drawn), alt=title))
    colour = ", coloured by label" if labels is not None else ""
    caption = (
        f"Codes of test images in two dimensions (axes without unit){colour}. An untrained encoder already separates "
        f"some classes; compare the trained encoder with it.{workdir.code_time}"
    )
    return figure(panels, caption) + code_table(workdir)


def code_table(workdir: Workdir) -> str:
    """Active units and the bounds on the mutual information of x and w; empty if none was evaluated."""
    own = (*CODE_NUMBERS, *(f"{key}{suffix}" for key in CODE_NUMBERS for suffix in ERROR_SUFFIXES))
    mine = {key: workdir.evaluate[key] for key in own if key in workdir.evaluate}
    rows = rows_of(workdir, mine, CODE_NUMBERS)
    return table(["", ""], rows, numbers=(1,)) if rows else ""


def probe_section(workdir: Workdir, gallery: Gallery) -> str:
    """Accuracies of a linear classifier and of nearest neighbours on w, and of their baselines."""
    if workdir.is_unconditional:
        return not_applicable(f"{NO_CODE} to probe.")
    keys = probe_accuracies(workdir.evaluate)
    if keys:
        values = np.array([workdir.evaluate[key] for key in keys], np.float64)
        errors = np.array([standard_error(workdir.evaluate, key) or 0.0 for key in keys])
        ours = [key in PROBES for key in keys]
        title = "Test images classified from w, and from baselines"
        drawn = figures.accuracy_bars(list(keys.values()), values, errors, ours=ours, title=title)
        return figure(
            [panel(gallery.save("probes", drawn), alt="accuracies of probes")],
            "Share of test images that a linear classifier or nearest neighbours (kNN) classify correctly from w "
            "(blue) and from the baselines (grey). Error bars: one standard error over test images."
            f"{workdir.code_time}",
        )
    why = workdir.reason("linear_probe_accuracy")
    return (
        not_applicable(f"There is no classifier of w: {why}.")
        if why
        else missing("There are no probe accuracies yet", "evaluate")
    )


def probe_accuracies(values: dict[str, Any]) -> dict[str, str]:
    """Key in evaluate.json -> name, of every accuracy of a linear classifier or of nearest neighbours."""
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
