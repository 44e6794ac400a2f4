"""Two-dimensional pictures of a representation."""

import numpy as np
from jaxtyping import Float

from vdm_jax.base.errors import UserError
from vdm_jax.base.sklearn import import_sklearn, one_thread

PERPLEXITY = 30.0

Features = Float[np.ndarray, "n f"]


def pca_2d(features: Features) -> Float[np.ndarray, "n 2"]:
    """Coordinates along the two directions of largest variance; zeros where there is no second one.

    A direction's sign is the one that makes its largest loading positive, so the picture does not flip.
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
    """t-SNE, started from PCA; perplexity 30, less for fewer than about 90 points. Seconds for 1,000 points.

    On one thread a run is repeatable.
    """
    manifold = import_sklearn("manifold", "t-SNE")
    if len(features) < 4:
        raise UserError(f"{len(features)} points for t-SNE; expected at least 4")
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    init = "pca" if features.shape[1] >= 2 else "random"
    model = manifold.TSNE(2, perplexity=perplexity, init=init, random_state=seed)
    with one_thread():
        return model.fit_transform(np.asarray(features, np.float32))
