"""The normality job end to end, the speciation of features of known class means, and mistakes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from small_sprites import experiment, run_jobs

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import normal
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.diffusion.theory import between_classes
from vdm_jax.experiments.common.exact import timestep_of
from vdm_jax.experiments.probes.checks import check_normality
from vdm_jax.experiments.probes.normality import by_variance, draw, feature_speciation, spread_evenly
from vdm_jax.probing.population import Access, Population

SMALL = {"normality__num_images": 300, "normality__num_components": 20, "normality__num_samples": 1_000}


@pytest.fixture(scope="module")
def built():
    return experiment(**SMALL, normality__num_histograms=2)


@pytest.fixture(scope="module")
def record(built, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("normality")
    run_jobs(built, workdir, "normality")
    return json.loads((workdir / "normality.json").read_text())


def test_sprites_are_not_normal_and_their_noise_is(record, built):
    assert record["timesteps"] == [0, 333, 667, 1000] and record["settings"]["normality"]["num_images"] == 300
    assert record["num_images"] == min(300, built.population.num_members)
    assert record["num_components"] == 20 <= record["num_varying"] <= record["num_values"] == 256
    for name, test in record["tests"].items():
        assert test["rejected"][0] == (1 if name != "dagostino" else pytest.approx(0.9, abs=0.2))
        assert test["rejected"][-1] == 0, name
        assert test["normal_from"] in record["timesteps"][1:] and test["p_smallest"][0] < 1e-6
    assert record["tests"]["standard"]["normal_from"] >= record["tests"]["energy"]["normal_from"]
    assert "distance_median" not in record["tests"]["dagostino"]


def test_histograms_hold_all_images_and_start_at_the_largest_variance(record):
    first, last = record["histograms"]
    assert first["variance"] > last["variance"] > 0 and len(first["component"]) == 3
    for shown in record["histograms"]:
        assert np.sum(shown["counts"], axis=1).tolist() == [record["num_images"]] * 4
        assert set(shown["p"]) == set(record["tests"]) and len(shown["edges"]) == len(shown["counts"][0]) + 1
        assert np.count_nonzero(shown["counts"][0]) == 2, "two levels without noise"


def test_the_eigenvalue_of_a_feature_is_that_of_its_class_means(built):
    population, schedule = built.population, built.schedule
    found = feature_speciation(population, jax.random.key(0), schedule)
    x, labels = jax.device_get(
        (
            population.take(jax.numpy.arange(population.num_members)),
            population.labels(jax.numpy.arange(population.num_members)),
        )
    )
    x = x.reshape(len(x), -1).astype(np.float64)
    for name in population.features:
        means = np.stack([x[labels[name] == label].mean(axis=0) for label in labels[name]])
        expected = np.linalg.eigvalsh(np.cov(means.T, bias=True))[-1]
        np.testing.assert_allclose(found[name]["eigenvalue"], expected, rtol=1e-5)
        at = found[name]["unit_snr_timestep"] / schedule.num_steps
        np.testing.assert_allclose(float(schedule.gamma(np.float32(at))), np.log(expected), atol=0.05)
        if expected > 1:
            assert found[name]["timestep"] == timestep_of(schedule, 1 / expected)
    assert 1 / (1 + between_classes(np.array([[-2.0], [2.0]]), np.array([3.0, 3.0]))) == pytest.approx(0.2)


def test_no_image_is_drawn_twice_and_components_are_spread(built):
    x, eps = draw(built.population, jax.random.key(0), 1_000)
    assert len(x) == built.population.num_members and x.shape == eps.shape
    assert len(np.unique(x, axis=0)) == len(np.unique(x.astype(np.float32), axis=0)) > 40
    assert spread_evenly(np.arange(10), 3).tolist() == [0, 4, 9] and len(spread_evenly(np.arange(4), 9)) == 4
    assert by_variance(np.array([[0.0, 0, 0], [1, 3, 2]]), 2) == [1, 0] and by_variance(x, 0) == []


def test_random_codes_are_drawn_and_their_class_means_are_not():
    """x = ±2 by the class, with noise of deviation ½, of 400 members."""

    def take(index, key=None):
        mean = jnp.where(index % 2 == 0, -2.0, 2.0)[:, None] * jnp.ones((1, 3))
        return mean if key is None else mean + 0.5 * normal(key, mean.shape)

    access = Access(Partial(take), Partial(lambda index: {"side": index % 2}), None, None)
    population = Population((3,), "", 400, {"side": Feature(np.array([0.5, 0.5]))}, {}, access)
    x, _ = draw(population, jax.random.key(0), 400)
    np.testing.assert_allclose(x.var(axis=0), 4.25, rtol=0.1)
    np.testing.assert_array_equal(x, draw(population, jax.random.key(0), 400)[0])
    found = feature_speciation(population, jax.random.key(1), make_schedule("ddpm_linear"))["side"]
    assert found["eigenvalue"] == pytest.approx(12.0), "|m|² of m = (2, 2, 2)"


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("num_images", 99, "at least 100"),
        ("num_samples", 10, "at least 1,000"),
        ("level", 1.0, "between 0 and 1"),
        ("correction", "bonferoni", "holm"),
    ],
)
def test_mistakes_are_one_sentence(built, setting, value, told):
    config = built.config.copy_and_resolve_references()
    config.normality[setting] = value
    with pytest.raises(UserError, match=told):
        check_normality(config)
