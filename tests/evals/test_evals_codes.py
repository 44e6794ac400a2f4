"""Codes of other images; information and readouts of codes are tested with their own files."""

import jax
import numpy as np
import pytest

from vdm_jax.data.dataset import Split
from vdm_jax.evals.codes import derangement, information, readouts


@pytest.mark.parametrize("num_images", [2, 3, 300])
def test_every_image_gets_the_code_of_another(key, num_images):
    others = derangement(key, num_images)
    assert np.all(others != np.arange(num_images))
    assert sorted(others.tolist()) == list(range(num_images))


def test_derangements_differ_by_key():
    first, second = (derangement(jax.random.key(seed), 300) for seed in (0, 1))
    assert np.mean(first == second) < 0.1


def test_readouts_of_an_encoder_that_copies_the_class():
    """Perfect through the code, near chance through noise pixels and an encoder that returns a constant."""
    rng = np.random.default_rng(0)
    splits = []
    for size in (60, 30, 90):
        labels = rng.integers(0, 2, size).astype(np.int32)
        levels = rng.integers(0, 4, (size, 3, 3, 1)).astype(np.uint8)
        levels[:, 0, 0, 0] = labels  # legible to `encode` alone: other pixels hide it from a constant
        splits.append(Split(levels, labels))

    def encode(levels):
        mu = levels[:, 0, 0].astype(np.float32)
        return mu, np.zeros_like(mu)

    def untrained(levels):
        return np.zeros((len(levels), 1), np.float32), np.zeros((len(levels), 1), np.float32)

    found = readouts(encode, untrained, splits, np.linspace(-1, 1, 4, dtype=np.float32))
    assert found["linear_probe_accuracy"] == found["knn_accuracy"] == 1
    assert found["linear_probe_accuracy_untrained"] < 0.7
    assert (found["probe_num_train"], found["probe_num_test"]) == (60, 90)


def test_information_of_a_sharp_code_is_the_number_of_images():
    mu = np.arange(8, dtype=np.float32)[:, None] * 10
    logvar = np.full_like(mu, -4.0)
    found = information(mu, mu, logvar, mu, logvar)
    assert found["active_units"] == 1 and found["mi_num_images"] == 8
    np.testing.assert_allclose(found["mi_lower_nats"], np.log(8), rtol=1e-5)
