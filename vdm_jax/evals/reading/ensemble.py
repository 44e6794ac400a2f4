"""Readouts of many codes of the same images: of all codes of one width as one compiled ensemble.

All codes have the same initial weights and the same batches, so that their scores differ by the codes alone. A code of
one time of E(x, t) is a code like any other.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Key

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.evals.latent_space import entry
from vdm_jax.evals.readouts import (
    LEARNING_RATES,
    READERS,
    fit,
    fit_settings,
    initial,
    metric_of,
    readable,
    score_of,
    standardised,
    targets_of,
)

CLASSES = "classes of "  # of a factor with values: a member that classifies it, for the bound on the information
INFORMATION = "information_nats"
Splits = Mapping[str, Float[np.ndarray, "_ f"]]
Labels = Mapping[str, Mapping[str, Integer[np.ndarray, " _"]]]


def read_codes(
    key: Key[Array, ""],
    codes: Mapping[str, Splits],
    labels: Labels,
    factors: Mapping[str, Feature],
    *,
    num_steps: int,
    num_seeds: int,
) -> dict[str, dict[str, dict[str, Any]]]:
    """{code: {factor: {"metric", "entropy_nats", "linear": entry, "mlp": entry}}} on test images.

    Args:
        codes: {code: {"train", "validation", "test": features [N, F]}}.
        labels: {split: {factor: classes [N]}}.

    Returns:
        Entries as of `readouts.train_readouts`, each also with `information_nats`, a lower bound on I(code; class):
        H(class) - E[-log q(class | code)] for the trained classifier q (Barber & Agakov 2003), nats, the mean over
        seeds. "entropy_nats": H(class) of the test images, which the bound reaches where each class is certain. A
        factor that has one class in the training images is left out.
    """
    if not (chosen := readable(factors, labels["train"])):
        return {code: {} for code in codes}
    classes = {CLASSES + name: Feature(own.prior) for name, own in chosen.items() if own.values is not None}
    names = {name: name.removeprefix(CLASSES) for name in (*chosen, *classes)}
    own_labels = {split: {name: own[names[name]] for name in names} for split, own in labels.items()}
    targets = targets_of(chosen | classes, own_labels)
    columns = {name: i for i, name in enumerate(names)}
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for together in by_width(codes).values():
        features = [standardised(codes[code]) for code in together]
        stacked = {split: np.stack([each[split] for each in features]) for split in features[0]}
        outputs = {}
        for reader, hidden in READERS.items():
            own = named_key(key, reader)
            params = initial(own, stacked["train"].shape[-1], hidden, targets, num_seeds)
            settings = fit_settings(reader, num_steps, num_seeds)
            outputs[reader] = np.asarray(_fit_codes(named_key(own, "batches"), params, stacked, targets, **settings))
        for i, code in enumerate(together):
            found[code] = {
                name: _factor(name, factor, {reader: each[i] for reader, each in outputs.items()}, targets, columns)
                for name, factor in chosen.items()
            }
    return {code: found[code] for code in codes}


def by_width(codes: Mapping[str, Splits]) -> dict[int, list[str]]:
    """The names of the codes of each width."""
    groups: dict[int, list[str]] = {}
    for name, splits in codes.items():
        groups.setdefault(splits["train"].shape[1], []).append(name)
    return groups


@partial(jax.jit, static_argnames=tuple(fit_settings(next(iter(LEARNING_RATES)), 1, 1)))
def _fit_codes(key, params, features, targets, **settings):
    """Outputs of the test images, [K, S, M, N, O], of codes [K, N, F] of each split."""
    return jax.vmap(lambda own: fit(key, params, own, targets, **settings))(jax.tree.map(jnp.asarray, features))


def _factor(name, factor, outputs, targets, columns) -> dict[str, Any]:
    """The entries of one code and factor. outputs: {reader: [S, M, N, O]}."""
    column, of_classes = columns[name], columns.get(CLASSES + name, columns[name])
    one_hot, used = targets.values["test"][:, of_classes], targets.used[of_classes] > 0
    found: dict[str, Any] = {"metric": metric_of(factor), "entropy_nats": _entropy(one_hot[:, used])}
    for reader, each in outputs.items():
        values = targets.values["test"][:, column]
        score = score_of(each[:, column], values, targets.used[column] > 0, factor.values is None)
        found[reader] = score | {INFORMATION: label_information(each[:, of_classes][..., used], one_hot[:, used])}
    return found


def label_information(outputs: Float[np.ndarray, "s n c"], one_hot: Float[np.ndarray, "n c"]) -> dict[str, Any]:
    """E[log q(class | code) - log p(class)] of N images, nats: the mean over S classifiers, the error over images.

    outputs: logits of C classes. p: the frequencies among these images.
    """
    logits = outputs.astype(np.float64)
    largest = logits.max(-1, keepdims=True)
    log_sum = np.log(np.exp(logits - largest).sum(-1)) + largest[..., 0]
    log_q = (logits * one_hot).sum(-1) - log_sum
    share = one_hot.mean(axis=0, dtype=np.float64)
    each = log_q.mean(axis=0) - np.log(np.where(share > 0, share, 1.0)) @ one_hot.T
    return entry(float(each.mean()), float(each.std(ddof=min(1, len(each) - 1)) / np.sqrt(len(each))), len(each))


def _entropy(one_hot: Float[np.ndarray, "n c"]) -> float:
    share = one_hot.mean(axis=0, dtype=np.float64)
    share = share[share > 0]
    return float(-(share * np.log(share)).sum())
