"""Readouts on representations whose best scores are known."""

import jax
import numpy as np
import pytest

from vdm_jax.diffusion.posterior import Feature
from vdm_jax.evals import readouts
from vdm_jax.evals.readouts import Examples, train_readouts
from vdm_jax.evals.representations import pca_projections

FACTORS = {
    "kind": Feature(np.full(3, 1 / 3)),
    "place": Feature(np.full(4, 1 / 4), np.linspace(0, 1, 4)[:, None]),
    "same": Feature(np.ones(1)),
}


def examples(seed, num, features_of):
    random = np.random.RandomState(seed)
    labels = {name: random.randint(0, len(factor.prior), num) for name, factor in FACTORS.items()}
    return Examples(features_of(random, labels).astype(np.float32), labels)


def scores(features_of, num_steps=300):
    splits = [examples(seed, num, features_of) for seed, num in enumerate((2000, 300, 500))]
    return train_readouts(jax.random.key(0), *splits, FACTORS, num_steps=num_steps, num_seeds=2)


def test_a_copy_of_the_factors_is_read_by_both():
    found = scores(
        lambda random, labels: np.stack(
            [labels["place"], np.zeros(len(labels["kind"])), *np.eye(3)[:, labels["kind"]]], 1
        )
    )
    for reader in ("linear", "mlp"):
        assert found["kind"][reader]["value"] > 0.99
        assert found["place"][reader]["value"] > 0.99
        assert found["kind"][reader]["num"] == 500
        assert found["place"][reader]["nearest_accuracy"] > 0.99
    assert "same" not in found  # one class
    splits = [examples(0, 20, lambda random, labels: random.randn(20, 2))] * 3
    assert train_readouts(jax.random.key(0), *splits, {"same": FACTORS["same"]}, num_steps=1) == {}
    assert (found["kind"]["metric"], found["place"]["metric"]) == ("accuracy", "r2")


def test_noise_is_chance():
    found = scores(lambda random, labels: random.randn(len(labels["kind"]), 5))
    for reader in ("linear", "mlp"):
        accuracy = found["kind"][reader]
        assert accuracy["value"] == pytest.approx(1 / 3, abs=4 * accuracy["standard_error"] + 0.03)
        assert abs(found["place"][reader]["value"]) < 0.1
        assert found["place"][reader]["nearest_accuracy"] == pytest.approx(1 / 4, abs=0.1)
        assert found["place"][reader]["standard_error"] < 0.02  # of a ratio: what predicts the mean has almost none


def test_a_mlp_reads_what_a_linear_map_cannot():
    """The kind is a parity of two signs."""

    def parity(random, labels):
        first = random.choice([-1, 1], len(labels["kind"]))
        labels["kind"] = labels["kind"] % 2
        signs = np.stack([first, first * (2 * labels["kind"] - 1)], 1) + 0.1 * random.randn(len(first), 2)
        return np.concatenate([signs, np.zeros((len(first), 3))], axis=1)

    found = scores(parity)
    assert found["kind"]["mlp"]["value"] > 0.98 and found["kind"]["linear"]["value"] < 0.7


def test_a_linear_readout_of_many_features_is_as_good_as_that_of_their_leading_components(monkeypatch):
    """1,024 correlated features of 16 numbers. With the learning rate of 16 features alone, the readout of 1,024 would
    be the constant prediction: 0.32 of the kinds in place of 0.68."""
    mixing = np.random.RandomState(9).randn(16, 1024)

    def mixed(random, labels):
        latent = random.randn(len(labels["kind"]), 16)
        latent[:, :4] += 0.7 * np.concatenate([1.5 * np.eye(3)[labels["kind"]], 0.5 * labels["place"][:, None]], axis=1)
        return latent @ mixing + 3 * random.randn(len(latent), 1024)

    monkeypatch.delitem(readouts.READERS, "mlp")
    splits = [examples(seed, num, mixed) for seed, num in enumerate((1000, 300, 500))]
    every = [split.features for split in splits]
    found = [
        train_readouts(
            jax.random.key(0),
            *[Examples(own, split.labels) for own, split in zip(each, splits, strict=True)],
            FACTORS,
            num_steps=200,
            num_seeds=1,
        )
        for each in (every, pca_projections(every, 16))
    ]
    for factor in ("kind", "place"):
        own, leading = (each[factor]["linear"] for each in found)
        assert own["value"] > leading["value"] - 2 * leading["standard_error"]
    assert found[0]["kind"]["linear"]["value"] > 0.6
