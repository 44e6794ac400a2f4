"""The evaluation of latent diffusion in a space with known answers: latents N(0, I), and a network that says so."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reading import settings_read
from small_sprites import GRID
from vdm_jax.configs import latent_diffusion

from vdm_jax.base.space import Space
from vdm_jax.data.encoded import Encoded
from vdm_jax.data.sprite_data import make_sprite_data
from vdm_jax.diffusion.likelihood import GaussianLikelihood
from vdm_jax.diffusion.schedules import ddpm_linear, dirac, interpolated
from vdm_jax.evals.latents.bound import DETERMINISTIC
from vdm_jax.experiments.common.checkpoints import Weights
from vdm_jax.experiments.common.space.encoded import EncodedSpace
from vdm_jax.experiments.latent_diffusion import evaluate as job
from vdm_jax.experiments.latent_diffusion.build import LatentExperiment
from vdm_jax.experiments.latent_diffusion.models import diffusion_family
from vdm_jax.models.diffusion import DiffusionModel, DiffusionObjective
from vdm_jax.networks.network import Network
from vdm_jax.report.compare.latent_sweep import write_latent_sweep
from vdm_jax.report.page import write_report
from vdm_jax.report.sections import LATENT_DIFFUSION_PAGE
from vdm_jax.report.sections.latent.models import models_table
from vdm_jax.report.summary import latent_summary

DATA = make_sprite_data(GRID, "population")
SCALE, DIMS = 2.0, 3
OF_SAMPLES = ("coverage_images", "sprite_tolerance", "reader_images", "reader_steps")
FEW = {
    "evaluate.passes": 2,
    "evaluate.denoising_parts": 4,
    "evaluate.mixture_components": 2,
    "evaluate.coverage_images": 24,
    "evaluate.reader_images": 64,
    "evaluate.reader_steps": 2,
    "sample.num_steps": 10,
}


def make_space(variance):
    """An encoder whose aggregate posterior is N(0, I), times `SCALE`; variance: its share that is noise."""
    draws = np.random.default_rng(0).standard_normal((len(DATA.test), DIMS))
    draws = (draws - draws.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(draws.T, bias=True))).T
    mean = (np.sqrt(1 - variance) * draws).astype(np.float32)
    noise = {"all": np.full_like(mean, variance)} if variance else None
    turn = np.random.default_rng(1).standard_normal((DIMS, *DATA.shape)).astype(np.float32)

    def moments(params, levels):
        raise NotImplementedError

    def decode(params, x):
        return jnp.tanh(jnp.tensordot(x, params, 1))

    def log_prob(params, levels, x):
        return -((decode(params, x) - (2.0 * levels - 1)) ** 2).sum((1, 2, 3))

    space = Space("fake", "1", (DIMS,), jnp.asarray(turn), moments, decode, log_prob, None)
    encoded = Encoded({"shape": [DIMS]}, {"all": mean}, noise)
    about = {"name": "fake", "scale": "global"}
    factor, stored = np.asarray(SCALE, np.float32), DATA.splits
    return EncodedSpace(space, encoded, factor, about, sampled=bool(variance), stored=stored)


def nothing(params, z, t, w=None, *, key=None):
    return jnp.zeros_like(z) * params


def experiment(variance=0.25, schedule=None, **settings):
    config = latent_diffusion.get_config("linear")
    config.update_from_flattened_dict(FEW | settings)
    model = DiffusionModel(
        network=Network(lambda key: jnp.ones(()), nothing),
        noise=schedule or ddpm_linear(),
        prediction="normal",
        objective=DiffusionObjective(loss="mean_square", weighting="simple"),
        code=None,
        shape=(DIMS,),
        likelihood=GaussianLikelihood(),
        x_range=None,
    )
    return LatentExperiment(config, DATA, model, make_space(variance))


def evaluated(built, workdir, step=7):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "load_weights", lambda *_: Weights({"unet": jnp.ones(())}, step, "ema"))
        assert job.evaluate_latents(built, workdir) == "done"
    return json.loads((workdir / "evaluate.json").read_text())


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("latent_diffusion")
    with settings_read() as read:
        evaluated(experiment(), path)
    assert {f"evaluate.{name}" for name in OF_SAMPLES} <= read, "what LATENT_CHOICES declares for these data"
    return path


def test_a_diffuser_of_a_normal_in_the_table(workdir):
    record = json.loads((workdir / "evaluate.json").read_text())
    table = record["table"]
    assert list(table) == ["trained", "untrained", "prior", "gaussian", "mixture", "codes"]
    assert record["main"] == "trained" and record["checkpoint_step"] == 7 and record["space"]["name"] == "fake"
    # The latents are N(0, SCALE²): the Gaussian is the truth, the network believes in N(0, 1).
    abar = 1 / (1 + np.exp(np.asarray(ddpm_linear().gamma(jnp.arange(1, 1001) / 1000))))
    loss = np.mean((1 - abar) ** 2 * SCALE**2 + abar * (1 - abar))  # of x_hat = alpha z
    assert abs(table["trained"]["x"]["loss"] - loss) < 4 * table["trained"]["x"]["loss_standard_error"] < 0.3 * loss
    assert table["gaussian"]["x"]["over_linear"] == 1 < table["trained"]["x"]["over_linear"]
    assert table["prior"]["eps"]["over_linear"] == pytest.approx(1, abs=1e-4)
    by_time = record["by_time"]
    assert by_time["timestep"] == pytest.approx(np.array([125, 375, 625, 875]), abs=12)
    for name in ("x", "eps"):
        own = table["gaussian"][name]["by_time"]
        difference = np.subtract(own["loss"], by_time[f"linear_{name}"])
        assert np.all(np.abs(difference) < 4 * np.array(own["loss_standard_error"])), name
    # -log p of a Gaussian that is SCALE times too narrow: ½ D (SCALE² - 1) - D ln SCALE above the truth, at most.
    worse = table["trained"]["bound_minus_prior_nats"], table["trained"]["bound_minus_prior_nats_standard_error"]
    assert 0 < worse[0] < 0.5 * DIMS * (SCALE**2 - 1) - DIMS * np.log(SCALE) + 4 * worse[1]
    assert table["prior"]["bound_minus_prior_nats"] == 0
    rate = 0.5 * DIMS * np.log(1 / 0.25)  # I(x; u) of the encoder, the KL to the truth
    assert abs(table["gaussian"]["rate_nats"] - rate) < 4 * table["gaussian"]["rate_nats_standard_error"]
    assert record["bound_nats"] == table["trained"]["bound_nats"] > record["distortion_nats"]
    assert record["loss"] == table["trained"]["eps"]["loss"]
    lines = latent_summary(record).splitlines()
    assert [line.split()[0] for line in lines] == ["denoising", "bound", "entropy", "no", "Fréchet"]
    assert "(N(0, I) 1.000, Gaussian 1.000) of the loss" in lines[0]


def test_the_bound_of_the_denoiser_of_a_normal_has_a_closed_form(key):
    """½ Σ_d [a x² + 1 - a - ln a + ln 2π] of a latent x, a = abar without noise: -log p(x) but for the first step.

    The schedule is a table, and the network denoises as if latents were N(0, I).
    """
    built, num = experiment(), 65_536
    family = diffusion_family(built.model, ddpm_linear(), built.config.sample, np.ones(DIMS))
    x = jnp.broadcast_to(jnp.array([2.0, -1.0, 0.5]), (num, DIMS))
    t = jnp.asarray((np.arange(num) + 0.5) / num, jnp.float32)
    found = np.asarray(jax.jit(family.density)({"unet": jnp.ones(())}, jax.random.split(key, num), x, t))
    a = float(jax.nn.sigmoid(-interpolated(ddpm_linear()).gamma(jnp.float32(0))))
    expected = 0.5 * np.sum(a * np.array([4.0, 1.0, 0.25]) + 1 - a - np.log(a) + np.log(2 * np.pi))
    error = found.std() / np.sqrt(num)
    assert abs(found.mean() - expected) < 4 * error < 0.05 * expected


def test_the_samples_are_those_of_each_model(workdir):
    record = json.loads((workdir / "evaluate.json").read_text())
    table = record["table"]
    assert all(table[name]["frechet"]["num_images"] == 24 for name in table)
    assert record["coverage"]["num_sampling_steps"] == 10 and record["coverage"]["num_images"] == 24
    assert record["coverage"]["not_a_sprite"] == table["trained"]["not_a_sprite"]
    kinds = table["codes"]["modes"]["kind"]
    assert kinds["num_modes"] == 8 and set(kinds) > {"p_value", "p_value_same_reader", "kl_nats"}
    assert "counts" not in kinds


def test_the_page_and_the_comparison_show_every_model(workdir, tmp_path):
    record, runs = json.loads((workdir / "evaluate.json").read_text()), {}
    prior, bound = record["table"]["prior"], record["table"]["prior"]["bound_nats"]
    for seed, p in enumerate((0.25, 0.987)):
        folder = runs[f"seed={seed}"] = tmp_path / str(seed)
        folder.mkdir()
        record["settings"]["train"]["seed"] = seed
        prior["bound_nats"], prior["modes"]["kind"]["p_value"] = bound + 2 * seed, p
        (folder / "evaluate.json").write_text(json.dumps(record))
        (folder / "config.json").write_text(json.dumps(record["settings"]))
    page = write_report(workdir, LATENT_DIFFUSION_PAGE).read_text()
    for words in ("untrained network", "N(0, I)", "mixture of Gaussians", "latents of test images", "Mode coverage"):
        assert words in page
    assert "latent diffusion" not in models_table({"untrained": {"bound_nats": 1.0}})
    assert (workdir / "report" / "denoising_ratio.png").is_file()
    text = write_latent_sweep(tmp_path, runs, {"other": "not evaluated"})
    row = next(line for line in text.splitlines() if "| N(0, I) |" in line)
    assert "| latent_diffusion-linear | 2 | N(0, I) | 1 | 1 |" in row and f"{bound + 1:.1f} ± 1.0" in row
    assert "| 0.99 |" in row, "the largest p of the seeds"
    assert (tmp_path / "sweep.png").is_file() and "Missing, not evaluated: other" in text


@pytest.mark.slow
def test_what_there_is_not_has_a_reason(tmp_path):
    quick = {"evaluate.mixture_components": 0, "evaluate.coverage_images": 0, "evaluate.passes": 1}
    record = evaluated(experiment(0.0, **quick), tmp_path, step=0)
    assert list(record["table"]) == ["untrained", "prior", "gaussian", "codes"] and record["main"] == "untrained"
    assert record["bound_nats"] is None and record["reasons"]["bound_nats"] == DETERMINISTIC
    assert record["coverage"] is None and "coverage_images" in record["reasons"]["coverage"]
    record = evaluated(experiment(schedule=dirac(), **quick), tmp_path)
    assert "Dirac" in record["reasons"]["bound_nats"] and record["bound_nats"] is None
    assert record["table"]["prior"]["bound_nats"] > 0 and np.isfinite(record["loss"])
    assert len(record["by_time"]["timestep"]) == 4 and min(record["by_time"]["timestep"]) > 500
