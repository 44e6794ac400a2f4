"""Score matching end to end on tiny digits: all jobs, functions, bad settings."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from launching import ROOT
from reading import jobs_read_what_is_declared
from vdm_jax.configs import ddpm as ddpm_file
from vdm_jax.configs import score as config_file

import launch
import vdm_jax
from vdm_jax.base.errors import UserError
from vdm_jax.data.sources import load_data
from vdm_jax.diffusion.score_matching.objectives import geometric_sigmas
from vdm_jax.experiments.common.models import make_ddpm
from vdm_jax.experiments.common.samplers import compare
from vdm_jax.experiments.common.samplers.compare import beyond, evaluations_of, pixel_distances
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.experiments.score import build, evaluate, mixture
from vdm_jax.experiments.score.build import build_score, make_score_model, noise_levels
from vdm_jax.networks.network import Network

DIGITS = load_data("digits")
JOBS = "train,evaluate,samplers,mixture,report"
MIXTURE = {
    "mixture.width": 8,
    "mixture.num_layers": 1,
    "mixture.num_steps": 4,
    "mixture.batch_size": 16,
    "mixture.num_seeds": 2,
    "mixture.num_levels": 4,
    "mixture.num_points": 9,
    "mixture.num_chains": 50,
    "mixture.langevin_steps": 20,
    "mixture.annealed_steps": 2,
    "mixture.separations": "2",
}
TINY = MIXTURE | {
    "noise.num_levels": 4,
    "objective.matching": "sliced",
    "train.num_steps": 2,
    "train.batch_size": 8,
    "train.log_every": 2,
    "train.eval_every": 2,
    "train.checkpoint_every": 2,
    "train.eval_images": 20,
    "train.eval_passes": 1,
    "evaluate.num_images": 20,
    "evaluate.passes": 1,
    "evaluate.batch_size": 20,
    "evaluate.frechet_images": 20,
    "sample.sampler": "langevin:2:0.2",
    "sample.num_steps": 4,
    "sample.num_images": 20,
    "sample.num_paths": 2,
    "samplers.methods": "langevin:2:0.2,flow_vp",
    "samplers.num_images": 20,
    "samplers.num_seeds": 2,
}


KNOWN = {
    "stationary": {"step_size": [1.0], "expected": [4 / 3], "variance": [1.3], "standard_error": [0.1]},
    "steps": [1, 2],
    "orders": {"ddim": {"errors": [0.2, 0.1], "order": 1.0}},
    "flow": None,
}


def linear_network(*_, **__) -> Network:
    """eps_hat = a z, in place of one that takes long to compile."""
    return Network(
        init=lambda key: {"a": 0.5 * jnp.ones(())}, apply=lambda params, z, t, w=None, key=None: params["a"] * z
    )


def fixed_scores(data, draw, *, num_images):
    """Scores of sets of images without a feature network."""
    frechet = {"distance": 1.0, "real_vs_real_floor": 0.1, "num_images": 20, "network": {"name": "none"}}
    return {name: {"coverage": None, "frechet": frechet} for name in draw(num_images)}, {}


def untrained(settings, mixture, network, schedule, objective):
    """The network of an objective as it starts."""
    return lambda key: network.init(key)


def config_of(variant="digits", **settings):
    config = config_file.get_config(variant)
    config.update_from_flattened_dict(TINY | settings)
    return config


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder of a run with all jobs, and its functions."""
    path = tmp_path_factory.mktemp("score") / "run"
    typed = [f"--config.{name}={value}" for name, value in TINY.items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "make_denoiser", linear_network)
        patch.setattr(evaluate, "score_sets", fixed_scores)
        patch.setattr(compare, "score_sets", fixed_scores)
        patch.setattr(mixture, "make_fit", untrained)
        patch.setattr(mixture, "known_answers", lambda mixture, key: KNOWN)
        flags = ["launch.py", f"--config={ROOT}/configs/score.py:digits", f"--workdir={path}", f"--jobs={JOBS}", *typed]
        with jobs_read_what_is_declared(path, all_jobs=False):
            assert launch.main(flags) == 0
        yield path, vdm_jax.load(path)


@pytest.fixture
def workdir(ran):
    return ran[0]


def test_all_jobs_leave_what_they_promise(workdir):
    record = json.loads((workdir / "evaluate.json").read_text())
    assert 0 < record["loss"] < 10 and np.isfinite(record["bound_nats"]) and record["frechet"]["num_images"] == 20
    levels = record["by_level"]
    np.testing.assert_allclose(levels["sigma"], geometric_sigmas(10.0, 0.02, 4)[::-1], rtol=1e-4)
    assert np.all(np.diff(levels["linear"]) < 0) and np.all(np.array(levels["error"]) > 0)
    samplers = json.loads((workdir / "samplers.json").read_text())
    assert samplers["reference"] == "langevin:2:0.2" and list(samplers["samplers"]) == ["langevin:2:0.2", "flow_vp"]
    assert [row["evaluations"] for row in samplers["samplers"].values()] == [8, 4]
    study = json.loads((workdir / "mixture.json").read_text())
    assert len(study["levels"]["sigmas"]) == 4 and study["mixing"]["separations"] == [2.0]
    assert study["mixing"]["at_rest"] == [pytest.approx(0.8 * 0.841345 + 0.2 * 0.158655, abs=1e-5)]  # Φ(1) = 0.841345
    zero = study["errors"]["exact"]  # the network starts as a score of zero
    assert (zero["weighted"]["value"], zero["unweighted"]["value"]) == (1, 1)
    with np.load(workdir / "samplers.npz") as shown:
        assert shown["images"].shape == (2, 12, 8, 8, 1)


def test_the_report_has_a_section_of_each_record(workdir):
    page = (workdir / "report" / "index.html").read_text()
    for name in ("levels", "samplers", "mixture", "mixture-chains", "known"):
        assert f'id="{name}"' in page, name
    figures = {path.name for path in (workdir / "report").glob("*.png")}
    assert {"mixture_true.png", "mixture_error_levels.png", "mixture_mixing.png", "score_levels.png"} <= figures


def test_functions_of_a_run(ran):
    """eps_hat = a z: the score of y at a level is -a y/(sigma √(1 + sigma²)), at the nearest of the levels."""
    run, sigmas = ran[1], ran[1].sigmas()
    np.testing.assert_allclose(sigmas, geometric_sigmas(10.0, 0.02, 4), rtol=1e-4)
    y, a = 2.0 * np.ones((3, 8, 8, 1), np.float32), float(run.denoise(np.ones((1, 8, 8, 1)), 0.5).eps[0, 0, 0, 0])
    expected = -a * y / (sigmas[1] * np.sqrt(1 + sigmas[1] ** 2))
    np.testing.assert_allclose(run.score(y, float(sigmas[1]) * 1.1), expected, rtol=1e-3)
    with pytest.raises(UserError, match="sigma=0.*expected a number above 0"):
        run.score(y, 0.0)
    with pytest.raises(UserError, match=r"y has shape \[3, 8\]"):
        run.score(y[:, :, 0, 0], 1.0)


MISTAKES = [
    ({"noise.sigmas": "0.1,1,10"}, r"sigmas=\(0\.1, 1, 10\); expected positive numbers, each below the one before"),
    ({"noise.sigmas": "10,one"}, r"config\.noise\.sigmas='10,one'; expected numbers"),
    ({"noise.sigma_min": 20.0}, r"sigma_min=20\.0, sigma_max=10\.0; expected 0 < sigma_min < sigma_max"),
    ({"noise.process": "vx"}, r"config\.noise\.process='vx'.*'ve'.*'vp'"),
    ({"objective.matching": "slized"}, r"config\.objective\.matching='slized'.*did you mean 'sliced'\?"),
    ({"sample.sampler": "langevin:0"}, r"config\.sample\.sampler='langevin:0'; expected langevin:STEPS:RATIO"),
    ({"sample.sampler": "ancestrl"}, r"config\.sample\.sampler='ancestrl'.*did you mean 'ancestral'\?"),
    ({"sample.num_steps": 9}, "num_steps=9 sampling steps; the schedule adds noise at 4 of its 4 entries"),
    ({"samplers.methods": "ddim,ddim"}, "names a sampler twice"),
    ({"mixture.weight": 1.0}, r"config\.mixture\.weight=1\.0; expected a number between 0 and 1"),
    ({"mixture.langevin_steps": 30}, r"langevin_steps=30; expected a multiple of 20"),
    ({"mixture.sigma_min": 50.0}, r"config\.mixture: sigma_min=50\.0"),
    ({"mixture.separations": "2,nan"}, r"separations='2,nan'; expected numbers with commas between them"),
    ({"mixture.separations": "0"}, r"separations='0'; expected numbers above 0"),
]


@pytest.mark.parametrize(("settings", "sentence"), MISTAKES, ids=lambda value: str(value)[:50])
def test_mistaken_settings(settings, sentence):
    with pytest.raises(UserError, match=sentence) as told:
        build_score(config_of(**settings))
    assert "\n" not in str(told.value)


def test_variants_have_their_levels_and_objectives():
    for variant in config_file.VARIANTS:
        config = config_file.get_config(variant)
        schedule = noise_levels(config.noise)
        assert schedule.num_steps == {"digits-vp": 1000, "digits-single": 1, "mnist": 60}.get(variant, 20)
        matching = {"digits-sliced": "sliced", "digits-exact": "exact"}.get(variant, "denoising")
        assert config.objective.matching == matching and config.kind == "score"


def test_a_ddpm_is_a_score_model():
    """`digits-vp` and the kind "ddpm" make one model: the table of noise, the objective, the target and the network."""
    config = ddpm_file.get_config("digits-linear")
    config.model.channels = 16
    ddpm, vp = make_ddpm(config, DIGITS), config_file.get_config("digits-vp")
    ours = make_score_model(vp, DIGITS, noise_levels(vp.noise))
    t = jnp.arange(1001) / 1000
    np.testing.assert_array_equal(ours.noise.gamma(t), ddpm.noise.gamma(t))
    assert (ours.objective, ours.prediction, ours.x_range) == (ddpm.objective, ddpm.prediction, ddpm.x_range)
    assert vp.model.to_dict() == config.model.to_dict() and ours.matching == "denoising"
    assert KINDS["ddpm"].jobs["samplers"].is_idle(config) and not KINDS["score"].jobs["samplers"].is_idle(vp)


def test_distances_are_beyond_the_floor_of_the_same_seeds():
    """Two pixels of levels 0 and 1; the reference is constant: the distance is that of the means and the variance."""
    zeros, ones = np.zeros((4, 1, 1, 2), int), np.ones((4, 1, 1, 2), int)
    images = {(seed, name): each for seed in range(3) for name, each in (("a", zeros), ("b", ones))}
    images |= {(3, "a"): zeros}
    values = np.array([-1.0, 1.0])
    far, floor = (pixel_distances(images, name, "a", 3, values) for name in ("b", "a"))
    np.testing.assert_allclose(far, 8.0)
    np.testing.assert_allclose(floor, 0.0, atol=1e-9)
    found = beyond([3.0, 5.0, 7.0], [1.0, 1.0, 1.0])
    assert (found["value"], found["interval"][0] < 0 < found["interval"][1]) == (4.0, True)
    np.testing.assert_allclose(found["standard_error"], 2 / np.sqrt(3))
    assert beyond([3.0], [1.0]) == {"value": 2.0, "standard_error": None, "interval": None}


def test_given_sigmas_are_the_levels():
    schedule = noise_levels(config_of(**{"noise.sigmas": "3, 1"}).noise)
    np.testing.assert_allclose(np.exp(schedule.gamma(jnp.array([0.5, 1.0])) / 2), [1, 3], rtol=1e-5)


def test_every_member_of_the_sweep_is_a_variant():
    assert {member["variant"] for member in config_file.get_sweep()} <= set(config_file.VARIANTS)
    assert len(config_file.get_sweep()) == 9 and "score" in KINDS


def test_evaluations_of_samplers():
    assert evaluations_of("ddim", 20) == evaluations_of("flow_vp", 20) == 20
    assert evaluations_of("langevin:5:0.2", 20) == 100 and evaluations_of("ancestral+langevin:2:0.1", 20) == 60
