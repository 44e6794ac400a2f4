"""Simple readouts of a representation: a linear classifier, nearest neighbours, and features for baselines.

An accuracy is meaningful only compared with that of raw pixels, of as many principal components, and of an untrained
encoder. Every function takes the features of all splits, of whatever kind.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from vdm_jax.base.sklearn import import_sklearn, one_thread

INVERSE_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
MAX_ITERATIONS = 100
NUM_NEIGHBOURS = 5
WHO = "a readout of representations"
NO_LABELS = "the data set has no labels"
ONE_CLASS = "the training images are all of one class"

Features = Float[np.ndarray, "n f"]


class Labelled(NamedTuple):
    """Features of a split, and its classes where there are any."""

    features: Features
    labels: Integer[np.ndarray, " n"] | None


def why_unread(labels: Integer[np.ndarray, " n"] | None) -> str | None:
    """The reason why no readout can be fitted to these training labels; None where one can."""
    if labels is None:
        return NO_LABELS
    return ONE_CLASS if len(np.unique(labels)) < 2 else None


def linear_probe(train: Labelled, validation: Labelled, test: Labelled) -> dict[str, Any]:
    """Multinomial logistic regression on standardised features; test accuracy with its binomial standard error.

    Fitted on all training images (`num_train`; some 10,000 take seconds). The penalty is the one of `INVERSE_PENALTIES`
    with the best accuracy on validation (the strongest among equals); test is evaluated once. -> `accuracy`,
    `standard_error`, `inverse_penalty`, `num_train`, `num_test`; None and a `reason` for fewer than two classes.
    """
    if reason := why_unread(train.labels):
        return _unread(reason)
    scaler = import_sklearn("preprocessing", WHO).StandardScaler()
    labels = train.labels
    features = scaler.fit_transform(train.features.astype(np.float32))
    held_out, unseen = (scaler.transform(split.features.astype(np.float32)) for split in (validation, test))
    model = import_sklearn("linear_model", WHO).LogisticRegression(max_iter=MAX_ITERATIONS)
    best = (-1.0, 0.0, unseen[:, 0])
    for inverse_penalty in INVERSE_PENALTIES:
        _fit_on_one_thread(model.set_params(C=inverse_penalty), features, labels)
        score = float(model.score(held_out, validation.labels))
        if score > best[0]:
            best = (score, inverse_penalty, model.predict(unseen))
    _, chosen, predicted = best
    return _accuracy(predicted == test.labels) | {"inverse_penalty": chosen, "num_train": len(features)}


def knn_accuracy(train: Labelled, test: Labelled) -> dict[str, Any]:
    """Test accuracy of a vote of the 5 nearest training images, Euclidean; same keys as `linear_probe`."""
    if reason := why_unread(train.labels):
        return _unread(reason)
    num_neighbours = min(NUM_NEIGHBOURS, len(train.labels))
    model = import_sklearn("neighbors", WHO).KNeighborsClassifier(num_neighbours, algorithm="brute")
    predicted = model.fit(train.features, train.labels).predict(test.features)
    return _accuracy(predicted == test.labels) | {"num_neighbours": num_neighbours, "num_train": len(train.labels)}


def pca_projections(splits: list[Float[np.ndarray, "_ f"]], num_components: int) -> list[Float[np.ndarray, "_ k"]]:
    """All splits on the leading principal components of the first, the training split (fewer where it has fewer)."""
    num_components = min(num_components, *splits[0].shape)
    model = import_sklearn("decomposition", WHO).PCA(num_components, random_state=0).fit(splits[0])
    return [model.transform(features) for features in splits]


def random_projections(
    splits: list[Float[np.ndarray, "_ f"]], num_components: int, seed: int
) -> list[Float[np.ndarray, "_ k"]]:
    """All splits through one Gaussian matrix, scaled to keep a vector's expected squared length."""
    num_features = splits[0].shape[1]
    matrix = np.random.RandomState(seed).randn(num_features, num_components) / np.sqrt(num_components)
    return [features @ matrix.astype(np.float32) for features in splits]


def _fit_on_one_thread(model: Any, features: Features, labels: Integer[np.ndarray, " n"]) -> None:
    """The fit on one thread: products this thin (a column a class) gain nothing from a second one."""
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stopping after 100 iterations acts as a slightly stronger penalty
        model.fit(features, labels)


def _accuracy(correct: np.ndarray) -> dict[str, Any]:
    accuracy = float(np.mean(correct))
    error = float(np.sqrt(accuracy * (1 - accuracy) / len(correct)))
    return {"accuracy": accuracy, "standard_error": error, "num_test": len(correct)}


def _unread(reason: str) -> dict[str, Any]:
    return {"accuracy": None, "standard_error": None, "reason": reason}
