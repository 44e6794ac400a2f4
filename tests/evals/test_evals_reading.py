"""Measures of codes whose answers are known: a copy of the label, noise, and a copy beside other codes."""

import jax
import numpy as np
import pytest

from vdm_jax.diffusion.posterior import Feature
from vdm_jax.evals.reading.ensemble import by_width, label_information, read_codes
from vdm_jax.evals.reading.few_labels import few_labels, labelled_rows
from vdm_jax.evals.reading.neighbours import nearest_neighbours, vote
from vdm_jax.evals.readouts import ONE_VALUE, Examples, r2_of_images, score_of, standardised, train_readouts

SIZES = {"train": 1200, "validation": 200, "test": 400}
FACTORS = {
    "class": Feature(np.full(4, 1 / 4)),
    "place": Feature(np.full(3, 1 / 3), np.array([[0.0], [1.0], [2.0]])),
    "same": Feature(np.ones(1)),
}
NUM_STEPS = 200


@pytest.fixture(scope="module")
def labels():
    random = np.random.RandomState(0)
    return {
        split: {name: random.randint(0, len(factor.prior), size) for name, factor in FACTORS.items()}
        for split, size in SIZES.items()
    }


@pytest.fixture(scope="module")
def codes(labels):
    """A copy of both factors, and noise; both of seven numbers."""
    random = np.random.RandomState(1)
    copies = {split: np.eye(7)[own["class"]] + np.eye(7)[4 + own["place"]] for split, own in labels.items()}
    noise = {split: random.randn(size, 7) for split, size in SIZES.items()}
    return {name: {split: part.astype(np.float32) for split, part in own.items()} for name, own in
            {"copy": copies, "noise": noise}.items()}  # fmt: skip


@pytest.fixture(scope="module")
def read(codes, labels):
    return read_codes(jax.random.key(0), codes, labels, FACTORS, num_steps=NUM_STEPS, num_seeds=2)


def test_a_copy_of_the_label_has_its_entropy_and_noise_nothing(read, labels):
    assert by_width({name: {"train": np.zeros((1, 7))} for name in read}) == {7: ["copy", "noise"]}, "one ensemble"
    for reader in ("linear", "mlp"):
        copy, noise = (read[code]["class"][reader] for code in ("copy", "noise"))
        shares = np.bincount(labels["test"]["class"]) / SIZES["test"]
        entropy = -(shares * np.log(shares)).sum()
        assert copy["value"] == 1.0 and copy["num"] == SIZES["test"]
        assert read["copy"]["class"]["entropy_nats"] == pytest.approx(entropy)
        assert entropy - 0.02 < copy["information_nats"]["value"] <= entropy
        assert noise["value"] == pytest.approx(1 / 4, abs=4 * noise["standard_error"])
        assert noise["information_nats"]["value"] < 0.02
        assert set(read["copy"]) == {"class", "place"}, "a factor of one class is left out"
        place = read["copy"]["place"][reader]
        assert place["value"] > 0.99 and read["copy"]["place"]["metric"] == "r2"
        assert place["information_nats"]["value"] == pytest.approx(np.log(3), abs=0.05), "of the class of the value"


def test_a_code_reads_the_same_beside_other_codes(codes, labels, read):
    again = {"first": codes["noise"], "second": codes["noise"]}
    found = read_codes(jax.random.key(0), again, labels, FACTORS, num_steps=NUM_STEPS, num_seeds=2)
    for reader in ("linear", "mlp"):
        ours, twin, theirs = (
            part["class"][reader]["information_nats"]["value"]
            for part in (found["first"], found["second"], read["noise"])
        )
        assert ours == pytest.approx(theirs, abs=1e-4) and ours == pytest.approx(twin, abs=1e-4)


def test_codes_at_once_read_as_each_alone(codes, labels):
    """One ensemble of both codes against `train_readouts` of each, with the same weights and batches."""
    only, key = {"class": FACTORS["class"]}, jax.random.key(0)
    together = read_codes(key, codes, labels, only, num_steps=30, num_seeds=2)
    for code, splits in codes.items():
        examples = [Examples(splits[split], labels[split]) for split in ("train", "validation", "test")]
        alone = train_readouts(key, *examples, only, num_steps=30, num_seeds=2)
        for reader in ("linear", "mlp"):
            ours, theirs = (found["class"][reader] for found in (together[code], alone))
            assert ours["value"] == pytest.approx(theirs["value"], abs=1 / SIZES["test"])
            assert ours["standard_error"] == pytest.approx(theirs["standard_error"], abs=1e-3)


def test_information_of_known_classifiers():
    one_hot = np.eye(2)[[0, 1, 1, 1]].astype(np.float32)
    share = np.log(np.array([1, 3]) / 4)
    assert label_information(np.tile(share, (1, 4, 1)), one_hot)["value"] == pytest.approx(0, abs=1e-12)
    sure = label_information(1e4 * one_hot[None], one_hot)
    assert sure["value"] == pytest.approx(-(np.exp(share) * share).sum())
    assert sure["standard_error"] == pytest.approx(np.std(share @ one_hot.T, ddof=1) / 2)
    assert label_information(1e4 * (1 - one_hot)[None], one_hot)["value"] < -9_000, "a wrong one is told so"


def test_few_labels_of_a_copy_and_of_noise(codes, labels):
    found = {code: few_labels(own, labels, FACTORS, (1, 10, 500), draws=3, seed=0) for code, own in codes.items()}
    for code in codes:
        assert list(found[code]["class"]) == ["1", "10"], "no class has 500 images"
        assert found[code]["class"]["10"]["draws"] == 3 and "same" not in found[code]
    assert found["copy"]["class"]["10"]["value"] == 1.0 and found["copy"]["class"]["10"]["standard_error"] == 0
    assert found["copy"]["place"]["10"]["value"] > 0.9 and found["copy"]["place"]["10"]["metric"] == "r2"
    noise = found["noise"]["class"]["10"]
    assert noise["value"] == pytest.approx(1 / 4, abs=4 * noise["standard_error"])


def test_where_no_factor_has_two_classes_there_is_no_readout(codes, labels):
    same = {"same": FACTORS["same"]}
    found = read_codes(jax.random.key(0), codes, labels, same, num_steps=NUM_STEPS, num_seeds=1)
    assert found == {"copy": {}, "noise": {}} and few_labels(codes["copy"], labels, same, (1,), draws=1, seed=0) == {}


def test_the_error_of_r2_is_that_of_other_test_images():
    """R² of constant predictions is near 0 whatever the test images; else the error is that of a bootstrap."""
    random = np.random.RandomState(0)
    values = np.concatenate([random.randn(380), 6 * random.randn(20)])[:, None]
    draws = np.stack([0.8 * values + 0.7 * random.randn(400, 1) for _ in range(3)])

    def score(rows):
        return 1 - ((draws - values)[:, rows] ** 2).mean() / values[rows].var()

    each = r2_of_images(draws, values).mean(axis=0)
    other = [score(random.randint(0, 400, 400)) for _ in range(1_000)]
    assert each.mean() == pytest.approx(score(slice(None)), rel=1e-12)
    assert each.std(ddof=1) / 20 == pytest.approx(np.std(other), rel=0.15)
    mean = np.full((1, 400, 1), values.mean())
    np.testing.assert_allclose(r2_of_images(mean, values), 0, atol=1e-12)


def test_few_labels_of_an_empty_code_predict_the_mean_and_have_almost_no_error(codes, labels):
    """R² = 0 of any test images; with their variance held fixed the error would be 0.035."""
    blank = {split: np.zeros_like(part) for split, part in codes["copy"].items()}
    found = few_labels(blank, labels, {"place": FACTORS["place"]}, (10,), draws=2, seed=0)["place"]["10"]
    assert abs(found["value"]) < 0.02 and found["standard_error"] < 0.01


def test_test_images_of_one_value_have_no_r2_and_say_why(codes, labels):
    one = {split: own | {"place": np.full_like(own["place"], 2)} for split, own in labels.items() if split == "test"}
    found = few_labels(codes["copy"], labels | one, {"place": FACTORS["place"]}, (10,), draws=2, seed=0)["place"]["10"]
    unscored = {"value": None, "standard_error": None, "num": 400, "reason": ONE_VALUE}
    assert found == unscored | {"draws": 2, "metric": "r2"}
    values = np.full((400, 1), 1.1, np.float32)  # the mean of which is not 1.1
    found = score_of(np.zeros((2, 400, 1), np.float32), values, np.array([True]), classifies=False)
    assert found == unscored | {"nearest_accuracy": None}


def test_labelled_rows_are_as_many_of_each_class():
    labels = np.array([0, 1, 0, 1, 2, 2, 0])
    rows = labelled_rows(labels, 2, seed=3)
    assert np.bincount(labels[rows]).tolist() == [2, 2, 2] and len(set(rows)) == 6
    np.testing.assert_array_equal(rows, labelled_rows(labels, 2, seed=3))
    assert any(not np.array_equal(rows, labelled_rows(labels, 2, seed=seed)) for seed in range(4, 9))


def test_neighbours_vote_for_every_factor(codes, labels):
    found = nearest_neighbours(codes["copy"]["train"], codes["copy"]["test"], labels["train"], labels["test"])
    assert found["class"]["value"] == found["place"]["value"] == 1.0 and found["class"]["num"] == 400
    np.testing.assert_array_equal(vote(np.array([[2, 1, 1, 2, 0], [3, 3, 3, 0, 0], [4, 3, 2, 1, 5]])), [1, 3, 1])


def test_features_are_scaled_by_the_training_images_and_never_far():
    train = np.zeros((1000, 2), np.float32)
    train[0, 0], train[:500, 1] = 1.0, 2.0
    other = np.array([[9.0, 2.0]], np.float32)
    found = standardised({"train": train, "test": other})
    np.testing.assert_allclose(found["test"], [[10.0, 1.0]], rtol=1e-5)
    assert found["train"].max() == 10.0
    as_one = standardised({"train": train, "test": other}, one_scale=True)
    ratio = train[:, 0].std() / train[:, 1].std()  # the second feature has the largest deviation
    np.testing.assert_allclose(as_one["test"], [[10.0 * ratio, 1.0]], rtol=1e-5)
