"""The exact job end to end: its record, its report, a kill, other settings, and mistakes."""

import json
from dataclasses import fields, replace

import jax.numpy as jnp
import numpy as np
import pytest
from launching import ROOT
from vdm_jax.configs import probes

import launch
from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.locks import alone_in
from vdm_jax.data.dsprites import RecordedGrid
from vdm_jax.data.sprite_data import make_sprite_data
from vdm_jax.diffusion.samplers import SAMPLERS
from vdm_jax.diffusion.schedules import cosine, ddpm_linear, dirac
from vdm_jax.diffusion.timesteps import LEAST_NOISE, gammas_at, timesteps
from vdm_jax.experiments.common.exact import BATCHES, check_timesteps, describe
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.experiments.probes.build import build_probes
from vdm_jax.experiments.probes.samplers import chosen_samplers
from vdm_jax.launch import store
from vdm_jax.launch.kind import chosen_jobs, jobs_of, kind_of
from vdm_jax.probing.exact import CurvePoint
from vdm_jax.probing.windows import Noise, noise_of, windows_of
from vdm_jax.train.checkpoint import Checkpointer
from vdm_jax.train.optimizer import make_optimizer
from vdm_jax.train.state import init_state

FEW = ["--config.exact.num_timesteps=5", "--config.exact.max_queries=200", "--config.exact.batch_size=50"]


def launched(workdir, *arguments) -> int:
    return launch.main(
        [
            "launch.py",
            f"--config={ROOT}/configs/probes.py",
            f"--workdir={workdir}",
            "--jobs=exact,report",
            *FEW,
            *arguments,
        ]
    )


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("exact")
    assert launched(path, "--jobs=exact,report") == 0
    return path


def test_the_record_has_a_curve_a_feature(workdir):
    record = json.loads((workdir / "exact.json").read_text())
    assert record["timesteps"] == [0, 250, 500, 750, 1000] and record["provenance"]["commit"]
    np.testing.assert_allclose(record["abar"][-1], 4.036e-5, rtol=1e-3)
    assert set(record["features"]) == {"shape", "orientation", "scale", "x", "y"}
    for name, feature in record["features"].items():
        curves = feature["exact"]
        assert all(len(values) == 5 for values in curves.values())
        assert curves["accuracy"][0] == pytest.approx(1, abs=1e-4), name
        assert sorted(curves["accuracy"], reverse=True) == pytest.approx(curves["accuracy"], abs=0.02)
        assert curves["retention"][2] < curves["accuracy"][2]
        assert curves["information_nats"][0] == pytest.approx(feature["entropy_nats"], abs=1e-3)
        assert curves["information_nats"][-1] == pytest.approx(0, abs=0.02)
    assert record["features"]["shape"]["exact"]["accuracy"][-1] == pytest.approx(1 / 3, abs=0.02)
    assert record["features"]["x"]["windows"]["50%"] > record["features"]["shape"]["windows"]["50%"]
    scale, x = record["features"]["scale"], record["features"]["x"]
    assert scale["held"] == pytest.approx(1, abs=1e-3) and scale["held_windows"]["50%"] == pytest.approx(
        scale["windows"]["50%"], abs=1
    )
    assert x["windows_logsnr"]["50%"] < scale["windows_logsnr"]["50%"] and x["windows_logsnr_standard_error"]["50%"] > 0
    assert 400 < record["speciation"]["timestep"] < 800 and 0 < record["speciation"]["abar"] < 0.1


def test_the_report_draws_it(workdir):
    page = (workdir / "report" / "index.html").read_text()
    assert "When features are destroyed" in page and page.count("<img") == 6
    assert page.count("--jobs=normality,probe,chains,chain_probes,report") == page.count("--jobs=") == 1, (
        "what is missing"
    )
    assert launch.main(["launch.py", f"--workdir={workdir}", "--jobs=report"]) == 0  # by its own config.json


def test_exact_curves_know_their_data_without_their_batches(workdir, tmp_path):
    record = json.loads((workdir / "exact.json").read_text())
    identity = build_probes(probes.get_config()).identity
    assert record["provenance"]["data"] == identity and identity.startswith("sprites small ")
    (tmp_path / "exact.json").write_text(json.dumps(record))
    experiment = build_probes(probes.get_config())
    experiment.config.exact.update(record["settings"]["exact"])
    store.check(KINDS, experiment.config, tmp_path, {"data": identity}, experiment, ["probe"])
    with pytest.raises(UserError, match="holds results of data .* but the data now are"):
        store.check(KINDS, experiment.config, tmp_path, {"data": "sprites small 0123"}, experiment, ["probe"])


def test_values_of_factors_are_part_of_what_data_are():
    experiment = build_probes(probes.get_config())
    grid = experiment.data.grid
    parts = {part.name: getattr(grid, part.name) for part in fields(grid)}
    same, others = (
        replace(
            experiment, data=make_sprite_data(RecordedGrid(**parts | {"orientations": turns}, cut_out=grid.templates))
        )
        for turns in (grid.orientations, tuple(2 * turn for turn in grid.orientations))
    )
    assert same.identity == experiment.identity != others.identity


def test_what_was_measured_is_not_measured_again_and_a_kill_loses_one_batch(workdir, capfd):
    whole = json.loads((workdir / "exact.json").read_text())
    text = (workdir / BATCHES).read_text()
    lines = text.splitlines()
    assert len(lines) == 4
    (workdir / BATCHES).write_text("\n".join([*lines[:2], lines[2][:40]]))
    assert launched(workdir, "--jobs=exact") == 0
    again = json.loads((workdir / "exact.json").read_text())
    assert again["features"] == whole["features"] and (workdir / BATCHES).read_text() == text
    (workdir / BATCHES).write_text('{"step": 0, "gamma": -20.0, "features": {}}\n')
    assert launched(workdir, "--jobs=exact") == 2 and "something older" in capfd.readouterr().err
    (workdir / BATCHES).write_text(text)
    assert launched(workdir, "--jobs=exact") == 0


def test_other_measurements_and_trainings_are_left_alone(workdir, tmp_path, capfd):
    before = (workdir / BATCHES).read_bytes()
    assert launched(workdir, "--config.exact.seed=1") == 2
    assert "exact.seed is 0 there and 1 here" in capfd.readouterr().err and (workdir / BATCHES).read_bytes() == before
    with Checkpointer(tmp_path / "checkpoints") as checkpointer:
        checkpointer.save(init_state({"a": jnp.zeros(1)}, make_optimizer(1.0, num_steps=1)))
    assert launched(tmp_path) == 2
    assert (
        "holds checkpoints of another kind of run" in capfd.readouterr().err and not (tmp_path / "config.json").exists()
    )


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--config.data.name=smal", "did you mean 'small'?"),
        ("--config.diffusion.schedule=cosin", "did you mean 'cosine'?"),
        ("--config.exact.num_timesteps=1002", "there are 1001"),
        ("--config.exact.tolerance=0", "above 0"),
        ("--config.exact.batch_size=5", "an even number"),
        ("--config.exact.tolerence=1", "did you mean 'exact.tolerance'?"),
        ("--jobs=sample", f"expected one of {sorted(jobs_of(KINDS['probes']))}"),
        ("--stop_after=9", "need a training job in --jobs"),
    ],
)
def test_mistakes_are_told_and_leave_nothing(tmp_path, capfd, flag, told):
    assert launched(tmp_path / "run", flag) == 2
    assert told in capfd.readouterr().err and not (tmp_path / "run").exists()


ELSEWHERE = ("images", "cifar", "celeba", "latents", "vectors", "maps")  # of files, or of a space that is trained first


@pytest.mark.parametrize("variant", [name for name in probes.VARIANTS if not name.startswith(ELSEWHERE)])
def test_every_variant_is_built(variant):
    experiment = build_probes(probes.get_config(variant))
    steps = timesteps(experiment.config.exact.num_timesteps, experiment.schedule)
    gammas = gammas_at(experiment.schedule, steps)
    assert len(steps) == experiment.config.exact.num_timesteps and steps[0] == 0 and steps[-1] == 1000
    assert np.all(np.diff(gammas) >= 0) and gammas[0] == LEAST_NOISE and np.isfinite(gammas).all()
    features = {"class"} if variant.partition("-")[0] == "digits" else {"shape", "orientation", "scale", "x", "y"}
    assert set(experiment.population.features) >= features


@pytest.mark.parametrize("experiment", probes.EXPERIMENTS)
def test_every_experiment_has_its_jobs_and_its_sampler(experiment):
    config = build_probes(probes.get_config(f"quick-{experiment}")).config
    name, _, sampler = experiment.partition("-")
    jobs = config.jobs.split(",")
    assert jobs == chosen_jobs(kind_of(KINDS, config), jobs) and jobs[0] == "exact" and jobs[-1] == "report"
    assert ("probe" in jobs, "chains" in jobs) == (name == "forward", name in probes.ON_CHAINS)
    if name in probes.ON_CHAINS:
        (chosen,) = chosen_samplers(config.chains).values()
        assert chosen.name == (sampler or "exact") and not chosen.trained
        assert config.chains.round_trips == (name == "round_trip")
    if "chain_probes" in jobs:
        assert chosen_samplers(config.chain_probes) == chosen_samplers(config.chains)
        assert [config.chain_probes[which] for which in ("backward", "real_or_generated")].count(True) == 1
        assert config.chain_probes[name]


def test_every_sampler_has_its_variants():
    assert {f"{name}-{sampler}" for name in probes.ON_CHAINS for sampler in SAMPLERS} < set(probes.EXPERIMENTS)


def test_an_experiment_goes_with_any_grid_and_schedule():
    config = probes.get_config("full-dirac-backward-ddim")
    assert config.name == "probes-full-dirac-backward-ddim" and config.data.name == "full"
    assert config.diffusion.schedule == "dirac" and config.chains.samplers == "ddim:100" and config.chains.every == 5


@pytest.mark.parametrize(
    ("variant", "told"),
    [
        ("quikc", "did you mean 'quick'"),
        ("medium-linear", "variant='medium-linear'; expected one of ['"),
        ("small-backward", "variant='small-backward'; expected one of"),
        ("quick-bakward", "experiment='bakward'; expected one of"),
        ("sparse-linear-backward-ddmi", "did you mean 'backward-ddim'"),
        ("sparse-linear-forward-ddim", "experiment='forward-ddim'; expected one of"),
        ("quick-", "experiment=''; expected one of"),
    ],
)
def test_a_mistyped_variant_is_told(tmp_path, capfd, variant, told):
    arguments = [f"--config={ROOT}/configs/probes.py:{variant}", f"--workdir={tmp_path / 'run'}"]
    assert launch.main(["launch.py", *arguments]) == 2
    assert told in capfd.readouterr().err and not (tmp_path / "run").exists()


def test_a_continuous_schedule_is_refused():
    config = probes.get_config()
    config.diffusion.schedule = "ddpm_linear_continuous"
    with pytest.raises(UserError, match="is no table"):
        build_probes(config)


def test_timesteps_are_where_noise_is_added():
    np.testing.assert_array_equal(timesteps(21, cosine()), np.arange(0, 1001, 50))
    np.testing.assert_array_equal(timesteps(8, dirac()), [0, 500, 510, 520, 530, 540, 550, 1000])
    np.testing.assert_array_equal(timesteps(1001, dirac()), [0, *range(500, 551), 1000])


def test_exact_curves_at_other_timesteps_are_left_alone(tmp_path):
    experiment = build_probes(probes.get_config("small-dirac"))
    write_json(tmp_path / "exact.json", {"timesteps": list(range(0, 1001, 50)), "features": {}})
    with pytest.raises(UserError, match="at other timesteps: timestep 50 there, 500 here; choose another"):
        store.check(KINDS, experiment.config, tmp_path, {}, experiment, ["probe"])
    write_json(tmp_path / "exact.json", {"timesteps": timesteps(21, experiment.schedule).tolist(), "features": {}})
    store.check(KINDS, experiment.config, tmp_path, {}, experiment, ["probe"])


def test_batches_at_other_timesteps_are_left_alone(workdir, tmp_path):
    few, schedule = timesteps(5, ddpm_linear()), dirac()
    for stated in ({}, {"timesteps": few.tolist()}):
        (tmp_path / BATCHES).write_text(json.dumps({"step": 0, "levels": [0], "means": []} | stated) + "\n")
        check_timesteps(tmp_path, few)
        with pytest.raises(UserError, match="at other timesteps: timestep 250 there, 500 here"):
            check_timesteps(tmp_path, timesteps(5, schedule))
    rows = [json.loads(line) for line in (workdir / BATCHES).read_text().splitlines()]
    assert rows[0]["timesteps"] == few.tolist() and not any("timesteps" in row for row in rows[1:])


def test_windows_are_of_what_there_is_to_know():
    experiment = build_probes(probes.get_config())
    shape = experiment.population.features["shape"]
    levels = [
        CurvePoint(0.0, 1, {"shape": {"information_nats": shape.entropy * share}}, {"shape": np.array([share, share])})
        for share in (1.0, 0.75, 0.25, 0.0)
    ]
    found = describe(shape, "shape", Noise(np.array([0, 10, 20, 30]), np.array([1.0, 0.4, 0.1, 0.0])), levels)
    assert found["windows"]["50%"] == pytest.approx(15, abs=1) and found["windows_standard_error"]["50%"] == 0


@pytest.mark.parametrize(("schedule", "within"), [(ddpm_linear(), 1.0), (cosine(), 2.5), (dirac(), 0.1)])
def test_windows_of_few_timesteps_are_those_of_all(schedule, within):
    """R² of a Gaussian, abar r/(abar r + 1 - abar): twenty timesteps tell when it crosses."""
    for ratio in (2.0, 20.0, 100.0):
        windows = []
        for steps in (np.arange(1001), timesteps(21, schedule)):
            noise = noise_of(steps, gammas_at(schedule, steps))
            windows.append(windows_of(noise, noise.abar * ratio / (noise.abar * ratio + 1 - noise.abar)))
        for level, time in windows[0].items():
            assert windows[1][level] == pytest.approx(time, abs=within), (ratio, level)


def test_two_at_once_are_refused(tmp_path, capfd):
    with alone_in(tmp_path, ".exact", "at the job exact"):
        assert launched(tmp_path) == 2
    assert f"another process is at the job exact in {tmp_path}" in capfd.readouterr().err
    assert not (tmp_path / "exact.jsonl").exists()
