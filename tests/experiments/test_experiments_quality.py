"""The job quality in a space with known answers: latents N(0, SCALE²), and the denoiser of N(0, I)."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_experiments_latent_diffusion_evaluate import DATA, DIMS, SCALE, experiment

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.schedules import ddpm_linear
from vdm_jax.experiments.common.checkpoints import Weights
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.experiments.latent_diffusion import quality as job
from vdm_jax.experiments.latent_diffusion.samplings import Curves, Sampling, times_of

EDGE = 2.0
CURVES = Curves(np.array([-10.0, 8.0]), np.array([3.0, 0.0]), EDGE)
PARAMS = {"unet": jnp.ones(())}
SAMPLERS = "ddim:8,ancestral:4,ddim:4:information,ddim:8:time:mixture"
FEW = {"quality.samplers": SAMPLERS, "quality.num_images": 24, "quality.num_seeds": 2, "evaluate.fitted_images": 4_000}


def start_of(variance, name):
    built = experiment(variance, **FEW)
    samplings = {name: Sampling("ddim", 8, "time", name)}
    return job.make_starts(built.config, DATA, built.space, ddpm_linear(), CURVES, samplings)[name]


def noised_variance():
    """Of z_t = alpha x + sigma eps at the edge, x ~ N(0, SCALE²)."""
    gammas = np.asarray(ddpm_linear().gamma(jnp.arange(1, 1001) / 1000))
    alpha, sigma = alpha_sigma(jnp.float32(gammas[np.argmin(np.abs(gammas - EDGE))]))
    return float(alpha) ** 2 * SCALE**2 + float(sigma) ** 2


@pytest.mark.parametrize("variance", [0.0, 0.25])
def test_the_gaussian_at_the_edge_has_the_moments_of_noised_latents(variance):
    """Whatever share of them is noise of the encoder."""
    found = start_of(variance, "gaussian")
    np.testing.assert_allclose(found.values[0], noised_variance(), rtol=2e-3)
    np.testing.assert_allclose(found.mean[0], 0, atol=1e-5)


@pytest.mark.slow
def test_the_mixture_at_the_edge_has_the_variance_of_noised_latents():
    weights, mean, values = (np.asarray(part) for part in start_of(0.25, "mixture")[:3])
    weights = np.exp(weights)
    total = weights @ (values.sum(axis=1) + ((mean - weights @ mean) ** 2).sum(axis=1))
    assert abs(total / (DIMS * noised_variance()) - 1) < 4 * np.sqrt(2 / (DIMS * len(DATA.train)))


def test_chains_from_the_edge_have_the_law_of_gaussian_data():
    """From N(0, I) at the edge the flow of the denoiser of N(0, I) multiplies by the cosines of its steps."""
    built = experiment(0.25)
    start = job.gaussian_of(np.zeros(DIMS), np.eye(DIMS))
    times = times_of(Sampling("ddim", 40, "time", "gaussian"), ddpm_linear(), CURVES)
    own = (built.model, PARAMS, Sampling("ddim", 40, "time", "gaussian"), times, start, jax.random.key(0))
    x = job.draw_chains(*own, 4_000, 4_000)
    angles = np.arctan(np.exp(np.asarray(ddpm_linear().gamma(jnp.asarray(times)), np.float64) / 2))
    shrunk = np.prod(np.cos(np.diff(angles)))
    covariance = np.cov(x.T)
    np.testing.assert_allclose(covariance, shrunk**2 * np.eye(DIMS), atol=5 * np.sqrt(2 / 4_000))
    assert 0.95 < shrunk < 1 and len(times) < 41
    few = job.draw_chains(*own, 10, 5)
    np.testing.assert_allclose(few, x[:10], rtol=1e-4, atol=1e-5)  # the noise of a chain is its own


def test_scores_are_means_over_seeds_with_their_error():
    def score(distance, share, kl):
        histograms = {"kind": {"kl_nats": kl, "kl_expected_nats": 0.5}}
        coverage = {"not_a_sprite": share, "exactly_a_sprite": 0.0, "readers": {"exact": {"histograms": histograms}}}
        return {"frechet": {"distance": distance}, "coverage": coverage}

    found = job.over_seeds([score(1.0, 0.2, None), score(2.0, 0.4, 0.1), score(3.0, 0.6, 0.2)])
    assert found["frechet"] == {"value": 2.0, "standard_error": pytest.approx(1 / np.sqrt(3))}
    assert found["not_a_sprite"]["value"] == pytest.approx(0.4)
    assert found["modes"]["kind"]["kl_nats"] == {"value": None, "standard_error": None}
    assert found["modes"]["kind"]["kl_expected_nats"] == {"value": 0.5, "standard_error": 0.0}
    one = job.over_seeds([{"frechet": {"distance": 1.0}, "coverage": None}])
    assert one == {"frechet": {"value": 1.0, "standard_error": None}}


@pytest.mark.slow
def test_the_record_has_a_row_for_every_sampling(tmp_path, monkeypatch):
    monkeypatch.setattr(job, "load_weights", lambda *_: Weights(PARAMS, 7, "ema"))
    monkeypatch.setattr(job, "curves_for", lambda *_: CURVES)
    assert job.quality(experiment(0.25, **FEW), tmp_path) == "done"
    record = json.loads((tmp_path / "quality.json").read_text())
    rows = record["samplings"]
    assert list(rows) == SAMPLERS.split(",") and record["num_images"] == 24 and record["num_seeds"] == 2
    assert [row["evaluations"] for row in rows.values()][:3] == [8, 4, 4]
    edge = record["edge"]["timestep"]
    assert rows["ddim:8:time:mixture"]["first_timestep"] == edge < 1000 == rows["ddim:8"]["first_timestep"]
    assert rows["ddim:8:time:mixture"]["evaluations"] == 1 + np.sum(np.arange(1, 8) / 8 * 1000 < edge) < 8
    for row in (*rows.values(), record["codes"]):
        assert row["frechet"]["standard_error"] > 0 and 0 <= row["not_a_sprite"]["value"] <= 1
        assert set(row["modes"]) >= {"kind"}
    assert len(job.quality_summary(record).splitlines()) == len(rows)


def test_curves_of_another_space_are_refused(tmp_path):
    built = experiment(0.25, **FEW, **{"quality.exact": str(tmp_path)})
    with pytest.raises(UserError, match=r"has no exact\.json"):
        job.check_quality(built, tmp_path)
    (tmp_path / "exact.json").write_text(json.dumps({"space": {"fingerprint": "other"}, "features": {}}))
    with pytest.raises(UserError, match="curves of another space"):
        job.check_quality(built, tmp_path)
    for sampled, told in ((False, "has space.sampled=False, this run True"), (True, "not the exact curves")):
        about = {"fingerprint": built.space.fingerprint, "sampled": sampled}
        (tmp_path / "exact.json").write_text(json.dumps({"space": about}))
        with pytest.raises(UserError, match=told):
            job.check_quality(built, tmp_path)


def test_a_record_is_of_the_curves_that_are_named(tmp_path):
    def curves(folder, edge):
        information = {"information_nats": [1.0, 0.5, 0.0]}
        feature = {"held": 0.9, "windows_logsnr": {"5%": edge}, "exact": information}
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "exact.json").write_text(json.dumps({"abar": [1, 0.5, 0], "features": {"x": feature}}))
        return str(tmp_path / folder)

    def is_done(exact, edge=EDGE):
        config.quality.exact = exact
        record = {"edge": edge and {"logsnr": -edge}, "checkpoint_step": 6, "weights": "ema", "settings": {}}
        write_json(tmp_path / "quality.json", record)
        return KINDS["latent_diffusion"].jobs["quality"].is_done(config, tmp_path)

    config = experiment(0.25, **FEW, **{"evaluate.checkpoint": "latest"}).config
    (tmp_path / "checkpoints" / "6").mkdir(parents=True)
    assert is_done(curves("one", -EDGE)) and is_done(curves("moved", -EDGE))
    assert not is_done(curves("other", -EDGE - 1e-9)) and not is_done("nowhere")
    config.quality.samplers = "ddim:8"
    assert is_done("", edge=None), "which needs no curves"
