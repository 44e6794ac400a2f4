import os

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from vdm_jax.data.sources import load_data
from vdm_jax.evals.representations import (
    INVERSE_PENALTIES,
    MAX_ITERATIONS,
    Labelled,
    knn_accuracy,
    linear_probe,
    pca_projections,
    random_projections,
)

needs_data = pytest.mark.skipif("VDM_DATA_DIR" not in os.environ, reason="VDM_DATA_DIR is not set: no real MNIST here")


def flat(data):
    splits = (data.train, data.validation, data.test)
    return [Labelled(split.levels.reshape(len(split), -1).astype(np.float32), split.labels) for split in splits]


@pytest.fixture(scope="module")
def digits():
    return flat(load_data("digits"))


def projected(splits, features):
    return [Labelled(new, split.labels) for new, split in zip(features, splits, strict=True)]


def test_digits_reference_accuracies(digits):
    """Raw pixels and 16 principal components reach about .98, a random 16-d projection about .9."""
    raw = linear_probe(*digits)
    pixels = [split.features for split in digits]
    pca = linear_probe(*projected(digits, pca_projections(pixels, 16)))
    random = linear_probe(*projected(digits, random_projections(pixels, 16, seed=0)))
    assert raw["accuracy"] > 0.96 and pca["accuracy"] > 0.95
    assert 0.8 < random["accuracy"] < 0.95
    assert (raw["num_train"], raw["num_test"]) == (1297, 300)
    expected = np.sqrt(raw["accuracy"] * (1 - raw["accuracy"]) / 300)
    np.testing.assert_allclose(raw["standard_error"], expected)


def test_labels_themselves_score_one_and_noise_scores_chance(digits):
    own = [Labelled(np.eye(10)[split.labels], split.labels) for split in digits]
    assert linear_probe(*own)["accuracy"] == knn_accuracy(own[0], own[2])["accuracy"] == 1.0
    random = np.random.default_rng(0)
    noise = [Labelled(random.standard_normal((len(split.labels), 16)), split.labels) for split in digits]
    for result in (linear_probe(*noise), knn_accuracy(noise[0], noise[2])):
        assert abs(result["accuracy"] - 0.1) < 4 * np.sqrt(0.09 / 300)


def test_constant_features_do_not_fail(digits):
    constant = [Labelled(np.ones((len(split.labels), 4), np.float32), split.labels) for split in digits]
    assert 0.05 < linear_probe(*constant)["accuracy"] < 0.15


def test_probe_ignores_the_scale_of_features(digits):
    scaled = [Labelled(split.features * np.logspace(-3, 3, 64, dtype=np.float32), split.labels) for split in digits]
    assert abs(linear_probe(*scaled)["accuracy"] - linear_probe(*digits)["accuracy"]) <= 2 / 300


def test_penalty_is_chosen_on_validation_alone(digits):
    train, validation, test = digits
    few = Labelled(train.features[:60], train.labels[:60])
    scaler = StandardScaler().fit(few.features)
    scores = []
    for inverse_penalty in INVERSE_PENALTIES:
        model = LogisticRegression(C=inverse_penalty, max_iter=MAX_ITERATIONS).fit(
            scaler.transform(few.features), few.labels
        )
        scores.append(model.score(scaler.transform(validation.features), validation.labels))
    best = INVERSE_PENALTIES[int(np.argmax(scores))]
    shuffled = Labelled(test.features, np.roll(test.labels, 1))
    for unseen in (test, shuffled):
        assert linear_probe(few, validation, unseen)["inverse_penalty"] == best


def test_knn_known_answer():
    train = Labelled(np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]]), np.array([0, 0, 0, 1, 1, 1]))
    test = Labelled(np.array([[0.05], [4.0], [2.0], [9.0]]), np.array([0, 1, 1, 1]))
    result = knn_accuracy(train, test)
    assert result["accuracy"] == 0.75 and result["num_neighbours"] == 5


def test_unlabelled_is_none_with_a_reason():
    split = Labelled(np.zeros((5, 2)), None)
    for result in (linear_probe(split, split, split), knn_accuracy(split, split)):
        assert result["accuracy"] is None and result["reason"] == "the data set has no labels"


def test_one_class_is_none_with_a_reason():
    split = Labelled(np.eye(5), np.full(5, 3))
    for result in (linear_probe(split, split, split), knn_accuracy(split, split)):
        assert result["accuracy"] is None and result["reason"] == "the training images are all of one class"


def test_pca_is_fitted_on_the_first_split_only():
    random = np.random.default_rng(0)
    train = random.standard_normal((200, 6)) * np.array([5.0, 3.0, 1.0, 0.1, 0.1, 0.1]) + 7
    test = train[:50] + 100.0
    train_projected, test_projected = pca_projections([train, test], 3)
    np.testing.assert_allclose(train_projected.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(np.cov(train_projected.T), np.diag(train_projected.var(0, ddof=1)), atol=1e-8)
    np.testing.assert_allclose(np.ptp(test_projected - train_projected[:50], axis=0), 0, atol=1e-9)
    assert pca_projections([train, test], 50)[0].shape == (200, 6)


def test_random_projection_keeps_lengths_and_is_one_matrix():
    features = np.random.default_rng(0).standard_normal((400, 300)).astype(np.float32)
    a, b = random_projections([features, 2 * features], 100, seed=3)
    np.testing.assert_allclose(b, 2 * a, rtol=1e-5)
    np.testing.assert_allclose((a**2).sum(1).mean() / (features**2).sum(1).mean(), 1.0, atol=0.05)
    np.testing.assert_array_equal(a, random_projections([features], 100, seed=3)[0])


@pytest.mark.slow
@needs_data
def test_real_mnist_raw_pixels():
    train, validation, test = flat(load_data("npz", name="mnist"))
    result = linear_probe(Labelled(train.features[:10_000], train.labels[:10_000]), validation, test)
    assert 0.90 < result["accuracy"] < 0.93 and result["num_train"] == 10_000 and result["num_test"] == 10_000
