import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.evals.embedding import pca_2d, tsne_2d


def test_pca_finds_the_plane_and_does_not_flip():
    random = np.random.default_rng(0)
    coordinates = random.standard_normal((500, 2)) * np.array([5.0, 2.0])
    basis, _ = np.linalg.qr(random.standard_normal((10, 10)))
    features = coordinates @ basis[:2] + 3.0
    found = pca_2d(features)
    correlations = np.abs(np.corrcoef(found.T, coordinates.T)[:2, 2:])
    np.testing.assert_allclose(correlations, np.eye(2), atol=0.1)
    np.testing.assert_allclose((found**2).sum(), ((features - features.mean(0)) ** 2).sum())
    np.testing.assert_allclose(pca_2d(features[::-1])[::-1], found, atol=1e-9)
    assert pca_2d(features[:, :1]).shape == (500, 2)


@pytest.mark.parametrize("dims", [1, 16])
def test_tsne_separates_clusters_deterministically(dims):
    labels = np.repeat([0, 1], 20)
    features = np.random.default_rng(0).standard_normal((40, dims)) + 20.0 * labels[:, None]
    found = tsne_2d(features, seed=0)
    assert found.shape == (40, 2)
    centres = np.stack([found[labels == label].mean(0) for label in (0, 1)])
    nearest = ((found[:, None] - centres[None]) ** 2).sum(-1).argmin(1)
    np.testing.assert_array_equal(nearest, labels)


def test_tsne_is_deterministic():
    features = np.random.default_rng(0).standard_normal((20, 4))
    np.testing.assert_array_equal(tsne_2d(features, seed=0), tsne_2d(features, seed=0))


def test_too_few_points():
    assert tsne_2d(np.random.default_rng(0).standard_normal((5, 3)), seed=0).shape == (5, 2)
    with pytest.raises(UserError, match="at least 4"):
        tsne_2d(np.zeros((3, 2)), seed=0)
