"""The accuracy of the vote of the nearest training images, for every factor from one search."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Integer

from vdm_jax.base.sklearn import import_sklearn
from vdm_jax.evals.latent_space import share
from vdm_jax.evals.representations import NUM_NEIGHBOURS, WHO

Codes = Float[np.ndarray, "_ f"]
Labels = Mapping[str, Integer[np.ndarray, " _"]]


def nearest_neighbours(train: Codes, test: Codes, train_labels: Labels, test_labels: Labels) -> dict[str, Any]:
    """{factor: {"value", "standard_error", "num"}}: the share of test images whose class has most of the 5 nearest
    training images, Euclidean; of several the smallest class."""
    index = nearest(train, test, min(NUM_NEIGHBOURS, len(train)))
    return {name: share(vote(labels[index]) == test_labels[name]) for name, labels in train_labels.items()}


def nearest(train: Codes, test: Codes, number: int) -> Int[np.ndarray, "n k"]:
    """The rows of the training images that are nearest to each test image."""
    model = import_sklearn("neighbors", WHO).NearestNeighbors(n_neighbors=number, algorithm="brute")
    return model.fit(train).kneighbors(test, return_distance=False)


def vote(classes: Integer[np.ndarray, "n k"]) -> Int[np.ndarray, " n"]:
    """The most frequent class of each row, of several the smallest."""
    counts = (classes[:, :, None] == classes[:, None, :]).sum(axis=2)
    most = counts == counts.max(axis=1, keepdims=True)
    return np.where(most, classes, np.iinfo(np.int64).max).min(axis=1)
