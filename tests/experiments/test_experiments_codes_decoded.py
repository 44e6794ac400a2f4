"""The jobs decode and worth of the kind codes: decoders whose images are known, and the records of a trained run."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import codes, representation
from vdm_jax.base.images import to_unit
from vdm_jax.data.sources import load_data
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.evals.representations import pca_projections
from vdm_jax.experiments.codes import worth as codes_worth
from vdm_jax.experiments.codes.build import build_codes
from vdm_jax.experiments.codes.codes import components, pixels_of
from vdm_jax.experiments.codes.decode import (
    between_ends,
    decode,
    decoded,
    distances,
    images_of,
    off_data,
    pairs,
    reconstruction,
    references,
)
from vdm_jax.experiments.codes.decoders import linear_decoder, own_decoder
from vdm_jax.experiments.codes.runs import TrainedRun
from vdm_jax.experiments.codes.worth import curve_of, exact_curves, levels_of_noise, num_distinct, worth
from vdm_jax.experiments.common.models import make_model
from vdm_jax.networks.network import Network

DATA = load_data("digits")
LEVEL = 1 / 16  # between two grey levels
TRAIN, TEST = DATA.train.levels, DATA.test.first(20).levels
SMALL = {
    "codes.baselines": "pca",
    "decode.num_images": 12,
    "decode.pairs": 3,
    "decode.steps": 4,
    "decode.num_steps": 2,
    "worth.num_images": 12,
    "worth.points": 5,
    "worth.passes": 1,
}


def pixels(levels):
    return pixels_of(DATA, levels)


def test_the_linear_decoder_of_principal_components_is_their_inverse():
    means = components(pixels, TRAIN, 8)
    found = decoded(linear_decoder(means, TRAIN, DATA), TEST)
    train = pixels(TRAIN).astype(np.float64)
    _, axes = np.linalg.eigh(np.cov(train.T))
    axes = axes[:, -8:]
    expected = train.mean(axis=0) + (pixels(TEST) - train.mean(axis=0)) @ axes @ axes.T
    low, high = DATA.pixel_values[[0, -1]]
    expected = np.clip((expected - low) / (high - low), 0, 1).reshape(found.shape)
    np.testing.assert_allclose(found, expected, atol=5e-3)
    np.testing.assert_allclose(pca_projections([pixels(TRAIN), pixels(TEST)], 8)[1], means(TEST), rtol=1e-5)


def test_a_code_that_is_the_image_is_reconstructed_and_mixes_pixels():
    between, real = linear_decoder(pixels, TRAIN, DATA), to_unit(TEST, DATA.num_levels)
    found = reconstruction(decoded(between, TEST), real)
    assert found["identified"]["value"] == 1.0 and found["identified"]["num"] == 20
    assert found["rmse"]["value"] < 5e-3 and "ssim" not in found
    paths = between_ends(between, TEST[:3], TEST[3:6], 5)
    np.testing.assert_allclose(paths[:, [0, -1]], np.stack([real[:3], real[3:6]], axis=1), atol=2e-2)
    np.testing.assert_allclose(paths[:, 2], (real[:3] + real[3:6]) / 2, atol=2e-2)
    worst = reconstruction(np.roll(real, 1, axis=0).astype(np.float32), real)
    assert worst["identified"]["value"] == 0.0


def test_training_images_are_on_the_data_and_blends_are_not():
    unit = to_unit(TRAIN[:12], DATA.num_levels).astype(np.float32)
    assert distances(unit, TRAIN, DATA).max() == 0
    assert off_data(unit.reshape(4, 3, 8, 8, 1), TRAIN, DATA) == {"value": 0.0, "standard_error": 0.0, "num": 4}
    config = codes.get_config("baselines")
    config.update_from_flattened_dict(SMALL | {"decode.pairs": 20})
    found = references(images_of(DATA, config), DATA, 5)
    assert 0 < found["test_images"]["value"] < found["blends"]["value"] and found["blends"]["num"] == 20


def test_pairs_are_of_different_classes():
    labels = DATA.test.labels
    first, last = pairs(labels, len(labels), 50, seed=0)
    assert (labels[first] != labels[last]).all()
    first, last = pairs(None, 3, 50, seed=0)
    assert (first != last).all() and set(last) == {0, 1, 2}


def test_the_area_of_a_curve():
    found = curve_of(np.array([[1.0, 1.0, 3.0], [1.0, 1.0, 1.0]]), np.array([2.0, 0.0, -2.0]))
    assert found["mean"] == [1.0, 1.0, 2.0] and found["area"] == {"value": 5.0, "standard_error": 1.0, "num": 2}
    values = np.array([[1.0, np.inf, 3.0], [1.0, np.inf, 1.0]])
    part = curve_of(values, np.array([2.0, 0.0, -2.0]), np.array([True, False, True]))
    assert part["mean"] == [1.0, None, 2.0] and part["area"]["value"] == 6.0, "over the levels that are known"


@pytest.mark.parametrize("name, settings", [("ddpm_linear", {}), ("dirac", {"t1": 0.2, "t2": 0.6})])
def test_curves_of_a_table_are_at_its_entries(name, settings):
    table = make_schedule(name, num_steps=50, **settings)
    schedule, gammas = levels_of_noise({"a run": table}, 30)
    entries = np.asarray(table.gamma(np.arange(1, 51) / 50))
    assert np.isin(gammas, entries).all() and np.isfinite(gammas).all() and (np.diff(gammas) > 0).all()
    noisy = entries[np.isfinite(entries)]
    assert gammas[0] == noisy[0] and gammas[-1] == noisy[-1]
    np.testing.assert_allclose([schedule.gamma(0.0), schedule.gamma(1.0)], noisy[[0, -1]], rtol=1e-5)


def test_images_that_are_too_many_have_no_ceiling_and_are_not_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(codes_worth, "MOST_NUMBERS", 0)
    monkeypatch.setattr(codes_worth, "num_distinct", None)  # which would sort all of them
    config = codes.get_config("baselines")
    assert worth(build_codes(config), tmp_path) == "done"
    record = json.loads((tmp_path / "worth.json").read_text())
    assert record["ceiling"] is record["num_distinct"] is None and "too many" in record["reasons"]["ceiling"]


def test_the_records_of_a_trained_run(whole, tmp_path):
    config = codes.get_config("baselines")
    config.update_from_flattened_dict(SMALL | {"runs.vae_vdm": str(whole[0])})
    experiment = build_codes(config)
    assert decode(experiment, tmp_path) == worth(experiment, tmp_path) == "done"
    record = json.loads((tmp_path / "decoded.json").read_text())
    assert list(record["own"]) == ["vae_vdm"] and list(record["linear"]) == ["vae_vdm", "pca_16"]
    for part in (record["own"]["vae_vdm"], *record["linear"].values()):
        assert part["reconstruction"]["rmse"]["num"] == 12 and part["interpolation"]["num"] == 3
    assert record["linear"]["pca_16"]["reconstruction"]["rmse"]["value"] < 0.15
    with np.load(tmp_path / "decoded.npz") as arrays:
        assert arrays["own vae_vdm path"].shape == (3, 4, 8, 8, 1) and arrays["source"].shape == (10, 8, 8, 1)
    record = json.loads((tmp_path / "worth.json").read_text())
    assert list(record["runs"]) == ["vae_vdm"] and record["runs"]["vae_vdm"]["of_time"] is False
    assert record["logsnr"] == pytest.approx([8, 4.75, 1.5, -1.75, -5], abs=1e-3), "the range of the schedule"
    assert list(record["within"]) == ["class"] and record["reference"] is None
    assert record["reasons"] == {"against_reference": "there is no run without a code"}


# ---- codes and denoisers that are known ------------------------------------------------------------------------------


def without_params(apply) -> Network:
    return Network(lambda key: {}, apply)


def known_run(name, *, share=1.0, encode=None, variant="drl") -> TrainedRun:
    """eps_hat = share (z - alpha w)/sigma, w the pixels that `encode` gives the images, by time where it takes one; no
    code where it is None."""
    config = representation.get_config(variant)
    model = make_model(config, DATA)
    schedule = model.schedule({})

    def denoise(params, z, t, w=None, *, key=None):
        alpha, sigma = (part[:, None, None, None] for part in alpha_sigma(schedule.gamma(t)))
        return share * (z - alpha * (0 if w is None else w.reshape(z.shape))) / sigma

    def encoder(params, x, *times, key=None):
        codes = encode(x.reshape(len(x), -1), *times)
        return codes, jnp.zeros_like(codes)

    code = None if encode is None else replace(model.code, encoder=without_params(encoder), w_dim=64)
    model = replace(model, network=without_params(denoise), code=code)
    return TrainedRun(name, model, {"unet": {}, "encoder": {}}, dict, config, {"fingerprint": name}, 20)


def test_the_areas_of_the_exact_curves_are_what_there_is_to_know():
    schedule, gammas = levels_of_noise({}, 41)
    curves, _ = exact_curves(DATA, DATA.train.first(100), schedule, gammas, jax.random.key(0), 1)
    for found, nats in ((curves[""], np.log(num_distinct(DATA))), (curves[""] - curves["class"], np.log(10))):
        area = curve_of(found, -gammas)["area"]
        assert abs(area["value"] - nats) < 4 * area["standard_error"] < 0.35 * nats


def test_a_code_is_worth_what_its_denoiser_saves_on_the_same_noise(tmp_path):
    """Without a code eps_hat = 0 errs by ½||eps||²; a code that is the image saves all of it, or 1 - ¼ by half."""
    config = codes.get_config("baselines")
    config.update_from_flattened_dict(SMALL)
    runs = (
        known_run("unconditional", share=0.0),
        known_run("named", encode=lambda x: x),
        known_run("half", encode=lambda x: x, share=0.5),
    )
    assert worth(replace(build_codes(config), runs=runs), tmp_path) == "done"
    record = json.loads((tmp_path / "worth.json").read_text())
    assert record["reference"] == "unconditional" and record["reasons"] == {}
    named, half = (record["against_reference"][name] for name in ("named", "half"))
    np.testing.assert_allclose(named["mean"], record["runs"]["unconditional"]["error_test"]["mean"], atol=0.05)
    np.testing.assert_allclose(half["mean"], 0.75 * np.array(named["mean"]), atol=0.05)
    area = named["area"]
    assert abs(area["value"] - 13 * 64 / 2) < 4 * area["standard_error"] < 80, "½ E||eps||² = 32 over 13 of log SNR"


@pytest.mark.parametrize("late", [False, True])
def test_own_decoders_give_the_images_of_the_codes_of_each_time(late):
    """E(x, t) = x in one half of the times, blank in the other: the image is that of the last steps, those of small t.
    Shares of 0 and 1 are the two images."""

    def encode(x, *times):
        (t,) = times
        return jnp.where((t > 0.5)[:, None] == late, x, -1.0)

    run = known_run("timed", encode=encode, variant="drl-time")
    between = own_decoder(run, DATA, {"sampler": "ddim", "num_steps": 8, "grid": "time"}, jax.random.key(0))
    found = between_ends(between, TEST[:3], TEST[3:6], 3)
    ends = [np.full((3, 8, 8, 1), 0.0) if late else to_unit(part, DATA.num_levels) for part in (TEST[:3], TEST[3:6])]
    np.testing.assert_allclose(found[:, [0, -1]], np.stack(ends, axis=1), atol=2.5 * LEVEL, err_msg="but for noise")


def test_the_own_decoder_of_one_code_for_all_times_goes_from_the_first_image_to_the_last():
    between = own_decoder(
        known_run("named", encode=lambda x: x),
        DATA,
        {"sampler": "ddim", "num_steps": 2, "grid": "time"},
        jax.random.key(0),
    )
    real = [to_unit(part, DATA.num_levels) for part in (TEST[:3], TEST[3:6])]
    found = between_ends(between, TEST[:3], TEST[3:6], 3)
    np.testing.assert_allclose(found[:, [0, -1]], np.stack(real, axis=1), atol=1.5 * LEVEL)
    np.testing.assert_allclose(found[:, 1], (real[0] + real[1]) / 2, atol=1.5 * LEVEL)
