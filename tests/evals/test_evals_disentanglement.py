"""Scores of disentanglement: a copy of the factors, noise, constants, a rotation; against plain transcriptions."""

import numpy as np
import pytest
import reference_disentanglement as reference

from vdm_jax.base.errors import UserError
from vdm_jax.evals.disentanglement.common import Coded, ImagePool, alive
from vdm_jax.evals.disentanglement.dci import _model, dci, scores_of
from vdm_jax.evals.disentanglement.fixed_factor import factor_vae, z_diff
from vdm_jax.evals.disentanglement.gaps import (
    corrected_accuracy,
    count_table,
    entropy,
    equal_bins,
    group_images,
    mig,
    moments,
    mutual_information,
    sap,
    squared_correlations,
)

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
    assert scores_of(np.zeros((4, 3))) == {"disentanglement": 0, "completeness": 0}  # constant codes
    mixed = scores_of(np.array([[3.0, 0.0], [0.5, 0.5]]))
    assert mixed["disentanglement"] == pytest.approx(3 / 4)


def test_mutual_information_by_hand():
    assert mutual_information(np.array([[[1, 1], [1, 1]], [[2, 0], [0, 2]]])) == pytest.approx([0, np.log(2)])
    assert entropy(np.array([1, 3])) == pytest.approx(-0.25 * np.log(0.25) - 0.75 * np.log(0.75))
    np.testing.assert_array_equal(equal_bins(np.array([[0.0], [0.4], [0.6], [1.0]]), 2)[:, 0], [0, 0, 1, 1])


def test_the_classifier_of_sap_is_corrected_for_chance():
    factor = np.tile([0, 1, 1], 40)
    bins = np.stack([np.zeros(120, int), factor], axis=1)
    train, test = count_table(bins, factor, np.arange(120) % 2, 2, 3, 2)
    assert corrected_accuracy(train, test) == pytest.approx([0, 1])
    assert corrected_accuracy(train, test[:, ::-1]) == pytest.approx([0, 0])  # wrong in every bin, or in empty ones


def test_sap_does_not_depend_on_the_order_of_images():
    """In index order the last factor alternates from image to image; a shuffle by a seed must not be undone."""
    grid = np.tile(np.stack(np.meshgrid(*(np.arange(n) for n in (3, 4, 6)), indexing="ij"), -1).reshape(-1, 3), (20, 1))
    for factors in (grid, grid[np.random.RandomState(0).permutation(len(grid))]):
        assert sap(Coded(factors.astype(np.float32), factors, NAMES, (False,) * 3))["value"] == pytest.approx(1)


def test_the_order_of_the_images_changes_no_gap():
    order = np.lexsort(FACTORS.T)
    in_order = Coded(FACTORS[order].astype(np.float32), FACTORS[order], NAMES, ORDERED)
    assert sap(in_order)["value"] == pytest.approx(1, abs=0.01) and mig(in_order)["value"] == pytest.approx(1)


@pytest.mark.parametrize("name", SCORES)
def test_where_one_factor_varies_a_copy_scores_one(name):
    factors = np.stack([FACTORS[:, 0], 0 * FACTORS[:, 0]], axis=1)
    found = SCORES[name](Coded(FACTORS[:, :1].astype(np.float32), factors, ("shape", "colour"), (False, False)))
    assert found["value"] == pytest.approx(1)


@pytest.mark.parametrize("name", SCORES)
def test_scores_are_those_of_plain_transcriptions(name):
    """Loops over images, dimensions and factors, with other draws: equal within five standard errors of both."""
    codes = (FACTORS + 0.8 * np.random.RandomState(4).randn(*FACTORS.shape)) @ np.random.RandomState(5).randn(3, 4)
    own, (value, error) = SCORES[name](coded(codes)), getattr(reference, name)(codes, FACTORS, ORDERED)
    drawn = 0 if name == "mig" else 5 * (own["standard_error"] + error)
    assert own["value"] == pytest.approx(value, abs=1e-6 + drawn)
    assert drawn < 0.15


def test_dci_is_that_of_a_plain_transcription():
    importance = np.random.RandomState(0).rand(5, 3) ** 4
    expected = reference.dci_of_importances(importance)
    assert scores_of(importance) == pytest.approx(expected)


def test_errors_cover_other_images():
    """MIG and SAP of 24 sets of images spread as their stated errors."""
    for score in (mig, sap):
        found = []
        for seed in range(24):
            random = np.random.RandomState(seed)
            factors = np.stack([random.randint(0, size, 4000) for size in SIZES], 1)
            codes = (factors + 0.7 * random.randn(*factors.shape)).astype(np.float32)
            found.append(score(Coded(codes, factors, NAMES, (False, True, True))))
        spread = np.std([one["value"] for one in found], ddof=1)
        assert 0.6 < np.mean([one["standard_error"] for one in found]) / spread < 1.8


def test_a_squared_correlation_is_numpy_s():
    codes, factor = np.random.RandomState(0).randn(50, 3), np.arange(50) % 4
    codes[:, 0] += factor
    codes[:, 2] = 0
    expected = [np.corrcoef(codes[:, d], factor)[0, 1] ** 2 for d in range(2)]
    assert squared_correlations(moments(codes, factor)) == pytest.approx([*expected, 0])


def test_the_first_penalty_is_l1():
    """Dimensions of noise have coefficients of exactly 0."""
    codes = np.random.RandomState(0).randn(200, 30)
    codes[:, 0] = np.arange(200) % 2 * 4 - 2 + codes[:, 0]
    fitted = _model("l1", 0).set_params(C=0.1).fit(codes, np.arange(200) % 2)
    assert (fitted.coef_[0, 1:] == 0).mean() > 0.5 and fitted.coef_[0, 0] != 0


def test_groups_are_of_equal_size_and_halves_are_within_them():
    groups, half = group_images(200)
    np.testing.assert_array_equal(np.bincount(groups * 2 + half), np.full(20, 10))


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
