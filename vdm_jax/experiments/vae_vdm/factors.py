"""What the mean of a code says about the factors of sprites: a linear map and an MLP for each factor."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from vdm_jax.base.keys import named_key
from vdm_jax.data.dataset import SPLITS, Dataset
from vdm_jax.data.sprite_data import rendered
from vdm_jax.data.sprite_posterior import sprite_features, sprite_labels
from vdm_jax.evals.codes import Encode
from vdm_jax.evals.readouts import READERS, Examples, train_readouts
from vdm_jax.evals.representations import pca_projections

FACTOR_KEYS = ("readout", "readout_baselines")
FOLDS = 5
NUM_STEPS = 500
Parts = dict[str, Int[np.ndarray, " _"]]  # indices of train, validation and test
Scores = dict[str, dict[str, Any]]  # of `train_readouts`


def read_factors(
    key: Key[Array, ""], encode: Encode, untrained: Encode, data: Dataset, num_images: int
) -> dict[str, Any]:
    """`readout`, the scores of each factor on test images, and `readout_baselines`, those of as many principal
    components ("pca") and of the encoder before its training ("untrained"), as `train_readouts` gives them.

    Where all images are in every split (`data.split=population`) the scores are means over `FOLDS` disjoint folds: one
    is the test images, the next one the validation images, the others are the training images.
    num_images: of all folds together, or of each split, at most.
    """
    folds = folds_of(data, num_images)
    index = np.unique(np.concatenate([part for parts in folds for part in parts.values()]))
    levels = rendered(data, index)
    pixels = data.pixel_values[levels].reshape(len(levels), -1)
    codes = {"codes": encode(levels)[0], "untrained": untrained(levels)[0]}
    labels = {name: np.asarray(found) for name, found in sprite_labels(data.grid, jnp.asarray(index)).items()}
    found: dict[str, list[Scores]] = {"codes": [], "untrained": [], "pca": []}
    for number, parts in enumerate(folds):
        rows = [np.searchsorted(index, parts[name]) for name in SPLITS]
        features = {name: [values[own] for own in rows] for name, values in codes.items()}
        features["pca"] = pca_projections([pixels[own] for own in rows], codes["codes"].shape[1])
        for name, of_splits in features.items():
            examples = [
                Examples(values, {factor: classes[own] for factor, classes in labels.items()})
                for values, own in zip(of_splits, rows, strict=True)
            ]
            own_key = named_key(named_key(key, name), f"fold {number}")
            settings = {"num_steps": NUM_STEPS, "num_seeds": 1, "one_scale": name == "pca"}
            found[name].append(train_readouts(own_key, *examples, sprite_features(data.grid), **settings))
    scores = {name: over_folds(each) for name, each in found.items()}
    return {"readout": scores.pop("codes"), "readout_baselines": scores}


def folds_of(data: Dataset, num_images: int) -> list[Parts]:
    """The splits of a data set of sprites, or `FOLDS` divisions of its images into train, validation and test where
    each split holds them all. Folds are of equal size."""
    if len(data.test) < len(data.grid):
        return [{name: getattr(data, name).stored[:num_images] for name in SPLITS}]
    order = data.test.stored[:num_images]
    folds = order[: len(order) // FOLDS * FOLDS].reshape(FOLDS, -1)
    turned: list[Int[np.ndarray, "f n"]] = [np.roll(folds, -first, axis=0) for first in range(FOLDS)]
    return [{"test": own[0], "validation": own[1], "train": own[2:].reshape(-1)} for own in turned]


def over_folds(found: Sequence[Scores]) -> Scores:
    """The means of the scores over folds of equal size. Errors are over the test images of all folds, "num" of them. A
    factor that some fold leaves out is left out, and one without a score in some fold has none."""

    def mean(factor: str, reader: str) -> dict[str, Any]:
        entries = [scores[factor][reader] for scores in found]
        number = sum(entry["num"] for entry in entries)
        if unscored := next((entry for entry in entries if entry["value"] is None), None):
            return unscored | {"num": number}
        errors: Float[np.ndarray, " n"] = np.array([entry["standard_error"] for entry in entries])
        names = set(entries[0]) - {"standard_error", "num"}
        means = {name: float(np.mean([entry[name] for entry in entries])) for name in sorted(names)}
        error = float(np.sqrt((errors**2).sum()) / len(entries))
        return means | {"standard_error": error, "num": number}

    return {
        factor: {"metric": scores["metric"]} | {reader: mean(factor, reader) for reader in READERS}
        for factor, scores in found[0].items()
        if all(factor in each for each in found)
    }
