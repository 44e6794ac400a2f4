"""The page of an autoencoder, its summary, and what a sweep of autoencoders ends with."""

import json
import re
from html import unescape

import autoencoder_runs as runs_of
import numpy as np
import pytest
from vdm_jax.configs import autoencoder

from vdm_jax.experiments.autoencoder.members import members_of
from vdm_jax.launch.settings import plain
from vdm_jax.report.compare.autoencoder_sweep import against_latents, family, plane, write_autoencoder_sweep
from vdm_jax.report.compare.study import read_settings
from vdm_jax.report.page import write_report
from vdm_jax.report.primitives.autoencoder_names import variant
from vdm_jax.report.primitives.measured import entry
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.sections import AUTOENCODER_PAGE
from vdm_jax.report.summary import autoencoder_summary


def sections(workdir, *names: str) -> dict[str, str]:
    """The text of each section of the page by its anchor; `names`: of these alone."""
    page = [section for section in AUTOENCODER_PAGE if not names or section.name in names]
    html = write_report(workdir, page).read_text()
    found = re.findall(r'<section id="([^"]*)">(.*?)</section>', html, re.DOTALL)
    return {name: unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))) for name, body in found}


def made(folder, code="gaussian", **model):
    workdir = runs_of.write(folder / code, runs_of.config(code=code, **model), runs_of.numbers())
    runs_of.write_arrays(workdir, code=code)
    return workdir


@pytest.mark.slow
def test_answers_first_with_error_and_number(tmp_path):
    found = sections(made(tmp_path))
    assert list(found)[:6] == ["numbers", "reconstruction", "latents", "prior", "interpolations", "traversals"]
    assert "VAE with 16 latents; convolutions, then dense layers; likelihood bernoulli" in found["numbers"]
    assert "3,000 updates of 64 images." in found["numbers"]
    assert "12.34 ± 0.21" in found["numbers"] and "Mean over 2,000 test images" in found["numbers"]
    assert "(2,000 test images)" in found["reconstruction"] and "0.410 ± 0.011" in found["reconstruction"]
    assert "those of N(0, I) are 1 (dashed)" in found["latents"] and "Of 2,000 test images" in found["latents"]
    assert "within 0.1 root mean square a pixel of a data image 0.320 ± 0.010 2,000" in found["prior"]
    assert "10 evenly spaced points" in found["interpolations"] and "rate in nats" in found["traversals"]
    head = "factor reader score latents raw pixels PCA of the same size untrained encoder"
    assert head in found["readouts"], "in the order of the columns"
    row = "shape linear accuracy 0.7000 ± 0.0040 0.6000 ± 0.0040 0.5000 ± 0.0040 0.4000 ± 0.0040"
    assert row in re.sub(r"\s+", " ", found["readouts"])
    assert "MIG 0.110 ± 0.010 1 0 10,000" in re.sub(r"\s+", " ", found["disentanglement"])
    assert "N(0, I): about 0.038) 1.90 ± 0.10" in found["latents"]
    assert "steps of interpolations, ends left out" in found["prior"] and "reconstructions within 0.1" in found["prior"]
    assert "codebook" not in found and "The codebook" in found["absent"]
    assert "pos y MLP R² 0.9000" in found["readouts"] and "psnr" not in found["other"]
    assert {"training", "terms", "rate-distortion"} <= set(found)


def test_a_factor_without_a_score_has_its_reason(tmp_path):
    values = runs_of.numbers()
    values["readout"]["pos_y"]["linear"] = {"value": None, "standard_error": None, "num": 2000, "reason": "one value"}
    (text,) = sections(runs_of.write(tmp_path / "one", runs_of.config(), values), "readouts").values()
    assert "There is no score of pos y: one value." in text and "pos y MLP" in text and "pos y linear" not in text


def test_a_deterministic_code_has_two_priors_and_no_bound(tmp_path):
    workdir = made(tmp_path, "deterministic")
    values = {key: value for key, value in runs_of.numbers().items() if not key.startswith(("bound", "rate"))}
    values["reasons"] = {"bound_nats": "a deterministic code has no rate"}
    (workdir / "evaluate.json").write_text(json.dumps(values))
    found = sections(workdir, "numbers", "prior")
    assert found["numbers"].startswith(" The numbers AE with 16 latents")
    assert "There is no bound: a deterministic code has no rate." in found["numbers"]
    assert "mean and deviation per component" in found["prior"] and "mean and covariance" in found["prior"]


def test_nats_are_those_of_a_trained_likelihood_and_bits_those_of_levels(tmp_path):
    loss = runs_of.config(likelihood="gaussian") | {"reconstruction": {"loss": "l1", "perceptual": 1.0}}
    values = runs_of.numbers() | {"negative_log_likelihood": None, "bound_nats": None}
    for name, config, numbers in (("kl", loss, values), ("density", runs_of.config(likelihood="gaussian"), {})):
        runs_of.write_arrays(runs_of.write(tmp_path / name, config, runs_of.numbers() | numbers))
    kl, density = (sections(tmp_path / name, "numbers", "rate-distortion") for name in ("kl", "density"))
    assert "rate-distortion" not in kl and "trained by the l1 distance" in kl["absent"]
    assert "distortion D" not in kl["numbers"] and "a density" not in kl["numbers"]
    assert "rate-distortion" in density and "a density, in the scale of the pixel values" in density["numbers"]


def test_quantised_codes_have_a_usage_and_spatial_latents_heat_maps(tmp_path):
    found = sections(made(tmp_path, "quantised", backbone="conv"), "prior", "traversals", "heat-maps", "codebook")
    assert "Share of each of 128 codes among the codes of 2,000 test images" in found["codebook"]
    assert "100 are used; the perplexity is" in found["codebook"]
    assert "white zero" in found["heat-maps"] and "places independent" in found["prior"]
    assert "traversals" not in found and "no continuous dimension" in found["absent"]


def test_an_empty_folder_names_the_jobs(tmp_path):
    found = sections(tmp_path)
    assert set(found) == {"absent"} and "--jobs=evaluate,sample,train,report" in found["absent"]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "VAE"),
        ({"rate": {"mode": "fixed", "beta": 4.0}}, "β-VAE (β = 4)"),
        ({"model": {"code": "deterministic"}}, "AE"),
        ({"model": {"code": "gaussian", "conditional": True}}, "conditional VAE"),
        ({"regulariser": {"name": "dip2", "lambda_od": 5.0}}, "DIP-VAE-II (λ_od = 5)"),
        ({"reconstruction": {"perceptual": 1.0}, "rate": {"beta": 1e-6}}, "KL-VAE (weight of the rate 1e-06)"),
        ({"rate": {"mode": "free_bits"}}, "VAE with the rate mode free_bits"),
    ],
)
def test_the_name_of_a_variant(changes, name):
    assert variant(runs_of.config() | changes) == name


def test_a_number_is_plain_or_an_entry():
    values = {"a": 1.5, "a_standard_error": 0.5, "b": {"c": {"value": 2, "standard_error": None, "num": 7}}, "d": None}
    assert entry(values, "a") == (1.5, 0.5, None) and entry(values, "b", "c") == (2.0, None, 7)
    assert entry(values, "d") == entry(values, "b") == entry(values, "a", "x") == (None, None, None)


def test_the_summary_of_a_run():
    lines = autoencoder_summary(runs_of.numbers()).splitlines()
    assert lines[0] == "reconstruction  12.34 ± 0.21 squared error summed over an image, 2,000 test images"
    assert "rate            18.10 ± 0.08 nats an image, 11 active units" in lines
    assert any("(raw pixels 0.600, PCA 0.500, untrained encoder 0.400)" in line for line in lines)
    assert "on data         0.430 ± 0.010 of reconstructions are near a data image" in lines
    assert any(line.endswith("(0.230 ± 0.020 of the steps of interpolations)") for line in lines)
    assert lines[-1].startswith("disentangled    z_diff 0.810 ± 0.010, factor_vae")
    assert autoencoder_summary({"reasons": {"bound_nats": "no rate"}}) == "no bound        no rate"


@pytest.fixture
def runs(tmp_path):
    """Two sizes of two families, two seeds each."""
    found = {}
    for name, factor in (("vae", 1.0), ("beta4", 2.0)):
        for latents in (4, 16):
            for seed in (0, 1):
                values = runs_of.numbers(latents) | {"reconstruction_sum": factor * 80 / latents + seed}
                values["prior_samples_on_data"] = runs_of.number(0.5 - latents / 100 + seed / 50)
                full = f"autoencoder-{name}-{latents}"
                config = runs_of.config(full, latents=latents, seed=seed)
                found[f"{full},seed={seed}"] = runs_of.write(tmp_path / f"{full},seed={seed}", config, values)
    return found


@pytest.mark.slow
def test_one_row_a_setting_with_its_error_over_seeds(runs, tmp_path):
    text = write_autoencoder_sweep(tmp_path / "out", runs, {"vae-256": "failed"})
    lines = text.splitlines()
    assert lines[0].startswith("| setting | seeds | R, nats | D, nats | D + R, nats | squared error, sum |")
    assert [line.split(" | ")[:2] for line in lines[2:6]] == [
        [f"| autoencoder-{name}", "2"] for name in ("vae-4", "vae-16", "beta4-4", "beta4-16")
    ]
    row = dict(zip(lines[0].split(" | "), lines[5].split(" | "), strict=True))
    assert (row["squared error, sum"], row["prior samples on data"]) == ("10.50 ± 0.50", "0.350 ± 0.010")
    assert (row["shape, linear"], row["MIG"]) == ("0.7", "0.11")
    assert "± one standard error over seeds." in text and "Missing, failed: vae-256" in text
    record = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert record["settings"]["autoencoder-beta4-16"]["runs"] == [f"autoencoder-beta4-16,seed={i}" for i in (0, 1)]
    numbers = record["settings"]["autoencoder-vae-4"]["numbers"]
    assert numbers["prior_samples_on_data.value"]["mean"] == pytest.approx(0.47)
    assert not [name for name in numbers if name.endswith(("standard_error", ".num"))]
    pictures = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert pictures == {"sweep_reconstruction.png", "sweep_on_data.png", "sweep_rate.png"}
    assert all(name in (tmp_path / "out" / "sweep.md").read_text() for name in pictures)


def test_a_line_a_family_over_the_number_of_latents(runs):
    settings = read_settings(runs.values())
    assert [family(setting) for setting in settings] == ["autoencoder-vae"] * 2 + ["autoencoder-beta4"] * 2
    drawn = against_latents(settings, "Reconstruction", "error", "reconstruction_sum", logarithmic=True)
    (axes,) = drawn.axes
    lines = {container.get_label(): container[0] for container in axes.containers}
    np.testing.assert_array_equal(lines["autoencoder-vae"].get_xdata(), [4, 16])
    np.testing.assert_allclose(lines["autoencoder-vae"].get_ydata(), [20.5, 5.5])
    drawn.draw_without_rendering()
    assert not axes.bbox.overlaps(drawn.legends[0].get_window_extent())
    assert len(plane(settings).axes[0].containers) == 4
    assert against_latents(settings, "", "", "unknown", logarithmic=False) is None


def test_without_a_run_there_is_a_sentence_and_no_figure(tmp_path):
    text = write_autoencoder_sweep(tmp_path, {}, {"a": "stopped"})
    assert text.startswith("No member is evaluated yet.\n") and not list(tmp_path.glob("*.png"))


def test_a_model_with_a_code_is_not_unconditional(runs):
    assert not any(Workdir(path).is_unconditional for path in runs.values())


def test_members_of_an_ensemble_are_averaged_over_their_seeds(tmp_path):
    config = autoencoder.get_config("vae-16-small")
    config.ensemble.update(seeds="0,1", beta="1,4")
    members = members_of(config)
    assert list(members) == ["seed=0,beta=1", "seed=0,beta=4", "seed=1,beta=1", "seed=1,beta=4"]
    for name, own in members.items():
        runs_of.write(tmp_path / name, plain(own), runs_of.numbers() | {"reconstruction_sum": 10.0 + own.train.seed})
    settings = read_settings(tmp_path / name for name in members)
    assert [family(setting) for setting in settings] == [f"autoencoder-vae-small,rate.beta={beta}" for beta in (1, 4)]
    for setting in settings:
        assert setting.seeds == [0, 1] and setting.measured("reconstruction_sum")[:2] == (10.5, 0.5)
