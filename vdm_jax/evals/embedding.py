"""Two-dimensional embeddings of a representation."""

import numpy as np
from jaxtyping import Float

from vdm_jax.base.errors import UserError
from vdm_jax.base.sklearn import import_sklearn, one_thread

PERPLEXITY = 30.0

Features = Float[np.ndarray, "n f"]


def pca_2d(features: Features) -> Float[np.ndarray, "n 2"]:
    """Coordinates along the two directions of largest variance. The second is zero if there is only one feature.

    The largest loading of a direction is positive, so that its sign is fixed.
    """
    features = np.asarray(features, np.float64)
    centred = features - features.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    directions = vectors[:, ::-1][:, :2]
    loadings = np.take_along_axis(directions, np.abs(directions).argmax(0)[None], axis=0)
    coordinates = np.zeros((len(features), 2))
    coordinates[:, : directions.shape[1]] = centred @ (directions * np.sign(loadings))
    return coordinates


def tsne_2d(features: Features, seed: int) -> Float[np.ndarray, "n 2"]:
    """t-SNE initialised with PCA, with perplexity 30, or less for fewer than 92 points. 1,000 points take seconds.

    It runs on one thread, so that it is repeatable.
    """
    manifold = import_sklearn("manifold", "t-SNE")
    if len(features) < 4:
        raise UserError(f"{len(features)} points for t-SNE; expected at least 4")
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    init = "pca" if features.shape[1] >= 2 else "random"
    model = manifold.TSNE(2, perplexity=perplexity, init=init, random_state=seed)
    with one_thread():
        return model.fit_transform(np.asarray(features, np.float32))
