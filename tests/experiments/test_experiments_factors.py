"""What is read of the factors of sprites from a code: folds, their means, and codes whose scores are known."""

import jax
import numpy as np
import pytest

from configs import digits
from vdm_jax.data.sources import load_data
from vdm_jax.data.sprites import FACTORS
from vdm_jax.diffusion.rate import CONTROL
from vdm_jax.evals import readouts
from vdm_jax.evals.codes import CODE_KEYS, PROBE_KEYS
from vdm_jax.experiments.vae_vdm import factors
from vdm_jax.experiments.vae_vdm.build import build
from vdm_jax.experiments.vae_vdm.evaluate import read_codes

POPULATION = load_data("sprites", name="sparse", split="population")


def test_folds_of_a_population_are_disjoint_and_each_is_tested_once():
    folds = factors.folds_of(POPULATION, 203)
    assert [len(parts[name]) for parts in folds for name in ("train", "validation", "test")] == [120, 40, 40] * 5
    assert all(len(np.unique(np.concatenate(list(parts.values())))) == 200 for parts in folds)
    assert len(np.unique(np.concatenate([parts["test"] for parts in folds]))) == 200
    held_out = load_data("sprites", name="sparse")
    (parts,) = factors.folds_of(held_out, 70)
    np.testing.assert_array_equal(parts["test"], held_out.test.stored[:70])


def test_errors_of_folds_are_over_all_their_images():
    entry = {"value": 0.5, "standard_error": 0.3, "num": 10}
    other = {"value": 0.7, "standard_error": 0.4, "num": 10}
    found = factors.over_folds([{"x": {"metric": "r2", "linear": each, "mlp": each}} for each in (entry, other)])
    assert found["x"]["linear"] == {"value": pytest.approx(0.6), "standard_error": pytest.approx(0.25), "num": 20}
    scores = {"metric": "r2", "linear": entry, "mlp": entry}
    assert set(factors.over_folds([{"x": scores, "y": scores}, {"x": scores}])) == {"x"}, "y is constant in a fold"
    unscored = entry | {"value": None, "standard_error": None, "reason": "one value"}
    found = factors.over_folds([{"x": {"metric": "r2", "linear": each, "mlp": each}} for each in (entry, unscored)])
    assert found["x"]["linear"] == unscored | {"num": 20}


def test_a_copy_of_the_factors_is_read_and_a_constant_is_chance(monkeypatch):
    monkeypatch.setattr(factors, "NUM_STEPS", 100)
    monkeypatch.setattr(factors, "FOLDS", 3)
    for module in (factors, readouts):
        monkeypatch.setattr(module, "READERS", {"linear": 0})  # one program to compile
    known = POPULATION.grid.factors(POPULATION.test.stored)
    copies = np.concatenate([np.eye(known[name].max() + 1)[known[name]] for name in FACTORS], axis=1)
    number = {image.tobytes(): i for i, image in enumerate(POPULATION.test.levels)}

    def copy(levels):
        mu = copies[[number[image.tobytes()] for image in levels]].astype(np.float32)
        return mu, np.zeros_like(mu)

    def constant(levels):
        return (np.zeros((len(levels), copies.shape[1]), np.float32),) * 2

    found = factors.read_factors(jax.random.key(0), copy, constant, POPULATION, 300)
    for name in ("shape", "scale", "x", "y"):
        assert found["readout"][name]["linear"]["value"] > 0.97, name
    untrained = found["readout_baselines"]["untrained"]
    assert abs(untrained["x"]["linear"]["value"]) < 0.2 and untrained["x"]["linear"]["num"] == 300
    assert untrained["shape"]["linear"]["value"] < 0.45 and set(found["readout_baselines"]) == {"pca", "untrained"}


def test_a_control_says_nothing_of_the_image():
    """Its information is 0 exactly; nothing is read from it and nothing drawn."""
    experiment = build(digits.get_config("control"))
    assert experiment.model.describe_objective() == "D, under a code that is independent of x"
    images = {name: np.zeros((20, 16), np.float32) for name in ("mu", "logvar")}
    found, reasons, pictures = read_codes(experiment, {}, images)
    assert pictures is None and all(found[name] == pytest.approx(0, abs=1e-9) for name in CODE_KEYS)
    assert all(found[name] is None and reasons[name] == CONTROL for name in PROBE_KEYS)
