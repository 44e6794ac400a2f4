import numpy as np
import pytest
from scipy.linalg import sqrtm

from vdm_jax.base.errors import UserError
from vdm_jax.evals.frechet import FeatureNetwork, frechet_distance, frechet_report, gaussian_distance, moments

NETWORK = FeatureNetwork("classifier trained on digits", "0123456789ab", "none")


@pytest.fixture
def random():
    return np.random.default_rng(0)


def covariance(random, d):
    root = random.standard_normal((d, 2 * d))
    return root @ root.T / (2 * d)


@pytest.mark.parametrize("d", [1, 5, 40])
def test_against_the_matrix_square_root(random, d):
    a, b, m1, m2 = covariance(random, d), covariance(random, d), random.standard_normal(d), random.standard_normal(d)
    expected = np.sum((m1 - m2) ** 2) + np.trace(a + b - 2 * sqrtm(a @ b).real)
    np.testing.assert_allclose(gaussian_distance(m1, a, m2, b), expected, rtol=1e-9)
    np.testing.assert_allclose(gaussian_distance(m2, b, m1, a), expected, rtol=1e-9)


def test_closed_forms(random):
    zero, scales = np.zeros(4), np.array([0.5, 1.0, 2.0, 3.0])
    distance = gaussian_distance(zero, np.diag(scales**2), zero + 2.0, np.eye(4))
    np.testing.assert_allclose(distance, 16 + np.sum((scales - 1) ** 2), rtol=1e-12)
    a = covariance(random, 6)
    np.testing.assert_allclose(gaussian_distance(np.zeros(6), a, np.zeros(6), 9 * a), 4 * np.trace(a), rtol=1e-9)
    assert gaussian_distance(np.ones(6), a, np.ones(6), a) < 1e-10


def test_nonsymmetric_product_is_handled():
    """eigvalsh(S1 S2) would read one triangle only, and give another number here."""
    a, b = np.array([[2.0, 1.0], [1.0, 1.0]]), np.array([[1.0, -0.5], [-0.5, 3.0]])
    product = a @ b
    trace_root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))  # 2x2 Cayley-Hamilton
    expected = np.trace(a) + np.trace(b) - 2 * trace_root
    np.testing.assert_allclose(gaussian_distance(np.zeros(2), a, np.zeros(2), b), expected, rtol=1e-12)


def test_singular_covariances():
    """One-dimensional Gaussians along e1 and e2: nothing is shared, so the distance is the sum of the traces."""
    along_1, along_2, zero = np.diag([4.0, 0, 0]), np.diag([0, 9.0, 0]), np.zeros(3)
    np.testing.assert_allclose(gaussian_distance(zero, along_1, zero, along_2), 13.0, rtol=1e-12)
    np.testing.assert_allclose(gaussian_distance(zero, along_1, zero, along_1), 0.0, atol=1e-12)


def test_fewer_images_than_features(random):
    few = random.standard_normal((10, 64))
    assert frechet_distance(few, few) < 1e-5
    shifted = frechet_distance(few, few + 1.0)
    np.testing.assert_allclose(shifted, 64.0, rtol=1e-6)


@pytest.mark.parametrize("n, m", [(10, 9), (9, 10), (10, 40), (40, 10), (30, 29), (40, 50)])
def test_fewer_images_than_features_are_no_other_distance(random, n, m):
    """30 features of different size: the small problem's eigenvalues are the large one's."""
    scales = np.linspace(0.1, 3, 30)
    one, other = scales * random.standard_normal((n, 30)), scales * random.standard_normal((m, 30)) + 0.5
    expected = gaussian_distance(*moments(one), *moments(other))
    np.testing.assert_allclose(frechet_distance(one, other), expected, rtol=1e-6)


@pytest.mark.parametrize("n, bias, tolerance", [(100, 21.7, 1.5), (1000, 2.20, 0.12), (5000, 0.45, 0.03)])
def test_finite_sample_bias(random, n, bias, tolerance):
    distances = [frechet_distance(random.standard_normal((n, 64)), random.standard_normal((n, 64))) for _ in range(4)]
    assert abs(np.mean(distances) - bias) < tolerance


def test_float32_features_are_computed_in_float64(random):
    features = random.standard_normal((500, 16)).astype(np.float32) + np.float32(1000)
    assert moments(features)[1].dtype == np.float64
    expected = frechet_distance(features.astype(np.float64), features.astype(np.float64) + 0.5)
    np.testing.assert_allclose(frechet_distance(features, features + np.float32(0.5)), expected, rtol=1e-4)


def test_report_carries_sizes_network_and_the_floor_at_the_same_n(random):
    generated, held_out = random.standard_normal((250, 8)) + 1.0, random.standard_normal((300, 8))
    reference = random.standard_normal((900, 8))
    report = frechet_report(generated, held_out, reference, NETWORK)
    assert report["network"] == {"name": "classifier trained on digits", "hash": "0123456789ab", "resize": "none"}
    assert (report["num_images"], report["num_reference"], report["num_features"]) == (250, 900, 8)
    np.testing.assert_allclose(report["distance"], frechet_distance(generated, reference), rtol=1e-12)
    np.testing.assert_allclose(report["real_vs_real_floor"], frechet_distance(held_out[:250], reference), rtol=1e-12)
    assert report["real_vs_real_floor"] < 0.5 < 7 < report["distance"]


def test_one_image_has_no_covariance():
    with pytest.raises(UserError, match="at least 2"):
        frechet_distance(np.zeros((1, 4)), np.zeros((5, 4)))
