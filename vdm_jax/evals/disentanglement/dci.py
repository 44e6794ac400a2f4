"""Disentanglement, completeness and informativeness (Eastwood & Williams 2018), by boosted trees and by L1."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float

from vdm_jax.base.sklearn import import_sklearn, one_thread
from vdm_jax.evals.disentanglement.common import Coded, alive, over_seeds

CODES = 2_000  # that each model is fitted to; as many are held out
TREES = 20  # a factor
INVERSE_PENALTY = 1.0
SEEDS = 2
SMALL = 1e-12


def dci(coded: Coded, by: str = "trees", num_seeds: int = SEEDS) -> dict[str, Any]:
    """An entry of the disentanglement D, with "completeness" and "informativeness" as entries of their own.

    by: "trees", gradient boosting, or "l1", logistic regression. Each dimension has an importance for each factor. D is
    1 less the entropy of a dimension's importances over factors (base F), weighted by its share of all importance; C is
    1 less the entropy of a factor's importances over dimensions (base D), the mean over factors; I is the accuracy on
    held-out images, the mean over factors. The error is over seeds, each with images of its own.
    """
    coded = alive(coded)
    found = [_one(coded, by, np.random.RandomState(seed)) for seed in range(num_seeds)]
    names = ("disentanglement", "completeness", "informativeness")
    entries = {name: over_seeds([one[name] for one in found], found[0]["num"]) for name in names}
    return entries["disentanglement"] | {name: entries[name] for name in names[1:]}


def _one(coded: Coded, by: str, random: np.random.RandomState) -> dict[str, Any]:
    order = random.permutation(len(coded.codes))
    half = min(CODES, len(order) // 2)
    train, test = order[:half], order[half : 2 * half]
    codes = (coded.codes - coded.codes[train].mean(axis=0)) / np.maximum(coded.codes[train].std(axis=0), SMALL)
    columns, right = [], []
    for k in range(coded.factors.shape[1]):
        model = _model(by, int(random.randint(2**31 - 1)))
        with one_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(codes[train], coded.factors[train, k])
        columns.append(model.feature_importances_ if by == "trees" else np.abs(model.coef_).sum(axis=0))
        right.append(float(model.score(codes[test], coded.factors[test, k])))
    importance = np.stack(columns, axis=1)
    return scores_of(importance) | {"informativeness": float(np.mean(right)), "num": len(test)}


def _model(by: str, seed: int) -> Any:
    if by == "trees":
        return import_sklearn("ensemble", "DCI").GradientBoostingClassifier(n_estimators=TREES, random_state=seed)
    linear = import_sklearn("linear_model", "DCI")
    return linear.LogisticRegression(l1_ratio=1.0, solver="saga", C=INVERSE_PENALTY, max_iter=100, random_state=seed)


def scores_of(importance: Float[np.ndarray, "d f"]) -> dict[str, float]:
    """D and C of the importance of each dimension for each factor."""
    total = max(float(importance.sum()), SMALL)
    by_dimension = importance / np.maximum(importance.sum(axis=1, keepdims=True), SMALL)
    by_factor = importance / np.maximum(importance.sum(axis=0, keepdims=True), SMALL)
    weights = importance.sum(axis=1) / total
    return {
        "disentanglement": float((weights * (1 - _entropies(by_dimension, axis=1))).sum()),
        "completeness": float(((1 - _entropies(by_factor, axis=0)) * (importance.sum(axis=0) > SMALL)).mean()),
    }


def _entropies(shares: Float[np.ndarray, "d f"], axis: int) -> np.ndarray:
    """Entropies along an axis in units of their largest value; 0 where there is one entry."""
    number = shares.shape[axis]
    if number == 1:
        return np.zeros(shares.shape[1 - axis])
    return -(shares * np.log(np.maximum(shares, SMALL))).sum(axis=axis) / np.log(number)
