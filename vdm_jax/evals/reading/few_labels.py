"""Readouts that see few labels: a linear map fitted to 1, 10 or 100 labelled images of each class.

The scale of the features is that of all training images, which needs no label. All codes see the same labelled images.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from vdm_jax.base.sklearn import import_sklearn, one_thread
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.evals.readouts import metric_of, r2_of_images, standardised, without_r2
from vdm_jax.evals.representations import MAX_ITERATIONS, WHO

PENALTY = 1.0  # of the squares of the weights, fixed: there are no labels left to choose it with
Splits = Mapping[str, Float[np.ndarray, "_ f"]]
Labels = Mapping[str, Mapping[str, Integer[np.ndarray, " _"]]]


def few_labels(
    splits: Splits, labels: Labels, factors: Mapping[str, Feature], numbers: Sequence[int], *, draws: int, seed: int
) -> dict[str, dict[str, Any]]:
    """{factor: {"1": entry, "10": entry, …}} on test images, by the number of labelled images of each class.

    An entry is the accuracy of logistic regression, or R² of ridge regression where the factor has values, its mean
    over draws of the labelled images. "standard_error" covers other draws and other test images, and counts what both
    share twice; "num" are test images, "draws" the number of draws. A number that some class has not as many images of
    is left out, and so is a factor with one class. R² of test images of one value is None, with a "reason".
    """
    features = standardised(splits)
    found: dict[str, dict[str, Any]] = {}
    for name, factor in factors.items():
        train, test = labels["train"][name], labels["test"][name]
        if len(np.unique(train)) < 2:
            continue
        found[name] = {}
        for number in numbers:
            if np.unique(train, return_counts=True)[1].min() < number:
                continue
            rows = [labelled_rows(train, number, seed * draws + draw) for draw in range(draws)]
            made = [_predicted(features["train"][own], train[own], features["test"], factor) for own in rows]
            found[name][str(number)] = _entry(np.stack(made), test, factor) | {"metric": metric_of(factor)}
    return found


def labelled_rows(labels: Integer[np.ndarray, " n"], number: int, seed: int) -> Integer[np.ndarray, " m"]:
    """The rows of `number` images of each class, drawn without replacement."""
    random = np.random.RandomState(seed % 2**32)
    return np.concatenate([random.permutation(np.flatnonzero(labels == label))[:number] for label in np.unique(labels)])


def _predicted(features: np.ndarray, labels: np.ndarray, test: np.ndarray, factor: Feature) -> np.ndarray:
    """Classes [N], or values [N, K] of a factor that has some."""
    linear = import_sklearn("linear_model", WHO)
    if factor.values is None:
        model, targets = linear.LogisticRegression(C=1 / PENALTY, max_iter=MAX_ITERATIONS), labels
    else:
        model, targets = linear.Ridge(alpha=PENALTY), factor.values[labels]
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stopping after 100 iterations acts as a slightly stronger penalty
        return model.fit(features, targets).predict(test).reshape(len(test), *targets.shape[1:])


def _entry(made: np.ndarray, labels: np.ndarray, factor: Feature) -> dict[str, Any]:
    """made: predictions of each draw, [R, N] or [R, N, K]."""
    if factor.values is None:
        each = (made == labels[None]).astype(np.float64)
    elif unscored := without_r2(factor.values[labels]):
        return unscored | {"draws": len(made)}
    else:
        each = r2_of_images(made, factor.values[labels])
    draws, number = each.shape
    over_draws = each.mean(axis=1).var(ddof=1) / draws if draws > 1 else 0.0
    over_images = each.mean(axis=0).var(ddof=min(1, number - 1)) / number
    error = float(np.sqrt(over_draws + over_images))
    return {"value": float(each.mean()), "standard_error": error, "num": number, "draws": draws}
