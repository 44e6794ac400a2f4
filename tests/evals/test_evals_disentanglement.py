"""Scores of disentanglement: a copy of the factors, noise, constants, a rotation; against plain transcriptions."""

import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.evals.disentanglement.common import Coded, ImagePool, alive
from vdm_jax.evals.disentanglement.dci import dci, scores_of
from vdm_jax.evals.disentanglement.fixed_factor import factor_vae, z_diff
from vdm_jax.evals.disentanglement.gaps import corrected_accuracy, entropy, equal_bins, mig, mutual_information, sap

SIZES = (3, 4, 5)
ORDERED = (False, True, True)
NAMES = ("shape", "x", "y")
GRID = np.stack(np.meshgrid(*(np.arange(size) for size in SIZES), indexing="ij"), -1).reshape(-1, 3)
FACTORS = GRID[np.random.RandomState(0).permutation(len(GRID) * 20) % len(GRID)]  # 1,200 images
SCORES = {"z_diff": z_diff, "factor_vae": factor_vae, "mig": mig, "sap": sap}
CHANCE = {"z_diff": 1 / 3, "factor_vae": 1 / 3, "mig": 0.0, "sap": 0.0}


def coded(codes):
    return Coded(np.asarray(codes, np.float32), FACTORS, NAMES, ORDERED)


@pytest.mark.parametrize("name", SCORES)
def test_a_copy_of_the_factors_scores_one(name):
    """Also with dimensions that carry nothing, and with other scales."""
    codes = np.concatenate([FACTORS * np.array([1.0, 10.0, -0.1]), np.zeros((len(FACTORS), 2))], axis=1)
    assert SCORES[name](coded(codes))["value"] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("name", SCORES)
def test_noise_and_constants_score_chance(name):
    noise = SCORES[name](coded(np.random.RandomState(1).randn(len(FACTORS), 4)))
    assert noise["value"] == pytest.approx(CHANCE[name], abs=0.08)
    constant = SCORES[name](coded(np.ones((len(FACTORS), 4))))
    assert constant["value"] == pytest.approx(CHANCE[name], abs=0.08)


@pytest.mark.parametrize("name", SCORES)
def test_a_rotation_of_the_factors_lowers_every_score(name):
    whitened = (FACTORS - FACTORS.mean(0)) / FACTORS.std(0)
    rotation = np.linalg.qr(np.random.RandomState(3).randn(3, 3))[0]
    assert SCORES[name](coded(whitened @ rotation))["value"] < SCORES[name](coded(whitened))["value"] - 0.05


@pytest.mark.slow
@pytest.mark.parametrize("by", ["trees", "l1"])
def test_dci_of_a_copy_of_noise_and_of_a_rotation(by):
    copy, noise = dci(coded(FACTORS), by, 1), dci(coded(np.random.RandomState(1).randn(len(FACTORS), 3)), by, 1)
    rotation = np.linalg.qr(np.random.RandomState(3).randn(3, 3))[0]
    turned = dci(coded((FACTORS - FACTORS.mean(0)) / FACTORS.std(0) @ rotation), by, 1)
    assert copy["value"] > 0.9 and copy["completeness"]["value"] > 0.9
    assert noise["value"] < 0.35 and noise["value"] < turned["value"] < copy["value"]
    assert noise["informativeness"]["value"] < 0.45 < copy["informativeness"]["value"]


def test_dci_of_importances_by_hand():
    """A permutation matrix scores 1; equal importances score 0; a dimension counts by its share of the importance."""
    assert scores_of(np.eye(3)[[2, 0, 1]]) == pytest.approx({"disentanglement": 1, "completeness": 1})
    assert scores_of(np.ones((4, 3))) == pytest.approx({"disentanglement": 0, "completeness": 0}, abs=1e-9)
    mixed = scores_of(np.array([[3.0, 0.0], [0.5, 0.5]]))
    assert mixed["disentanglement"] == pytest.approx(3 / 4)


def test_mutual_information_by_hand():
    a, b = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert mutual_information(a, b, 2) == pytest.approx(0)
    assert mutual_information(a, a, 2) == pytest.approx(np.log(2))
    assert entropy(np.array([1, 3])) == pytest.approx(-0.25 * np.log(0.25) - 0.75 * np.log(0.75))
    np.testing.assert_array_equal(equal_bins(np.array([[0.0], [0.4], [0.6], [1.0]]), 2)[:, 0], [0, 0, 1, 1])


def test_the_classifier_of_sap_is_corrected_for_chance():
    factor, half = np.tile([0, 1, 1], 40), np.arange(120) < 60
    assert corrected_accuracy(np.zeros(120, int), factor, half) == pytest.approx(0)
    assert corrected_accuracy(factor, factor, half) == pytest.approx(1)


def test_the_order_of_the_images_changes_no_gap():
    order = np.lexsort(FACTORS.T)
    in_order = Coded(FACTORS[order].astype(np.float32), FACTORS[order], NAMES, ORDERED)
    assert sap(in_order)["value"] == pytest.approx(1, abs=0.01) and mig(in_order)["value"] == pytest.approx(1)


def test_one_factor_and_codes_of_no_importance():
    one = Coded(FACTORS.astype(np.float32), FACTORS[:, :1], NAMES[:1], ORDERED[:1])
    assert z_diff(one)["value"] == factor_vae(one)["value"] == 1
    assert scores_of(np.zeros((3, 2))) == pytest.approx({"disentanglement": 0, "completeness": 0})


def test_mig_is_that_of_a_plain_transcription():
    """Loops over factors and dimensions with histograms of two dimensions."""
    codes = (FACTORS + 0.8 * np.random.RandomState(4).randn(*FACTORS.shape)) @ np.random.RandomState(5).randn(3, 4)
    gaps = []
    for k, size in enumerate(SIZES):
        found = []
        for d in range(codes.shape[1]):
            edges = np.linspace(codes[:, d].min(), codes[:, d].max(), size + 1)
            p = np.histogram2d(codes[:, d], FACTORS[:, k], [edges, np.arange(size + 1) - 0.5])[0] / len(codes)
            outer = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
            found.append((p[p > 0] * np.log(p[p > 0] / outer[p > 0])).sum())
        best = np.sort(found)[::-1]
        gaps.append((best[0] - best[1]) / np.log(size))
    assert mig(coded(codes))["value"] == pytest.approx(np.mean(gaps), abs=2e-3)


def test_draws_with_a_fixed_factor_share_its_value():
    pool, factor = ImagePool(FACTORS), np.array([0, 1, 2, 1])
    rows = pool.draw_fixed(np.random.RandomState(0), factor, 10)
    for own, k in zip(rows, factor, strict=True):
        assert len(np.unique(FACTORS[own, k])) == 1
        assert len(np.unique(own)) > 1


def test_factors_with_one_value_are_left_out():
    factors = np.concatenate([FACTORS, np.zeros((len(FACTORS), 1), int)], axis=1)
    found = alive(Coded(FACTORS.astype(np.float32), factors, (*NAMES, "colour"), (*ORDERED, False)))
    assert found.names == NAMES
    with pytest.raises(UserError, match="at least two values"):
        alive(Coded(FACTORS.astype(np.float32), 0 * FACTORS, NAMES, ORDERED))
