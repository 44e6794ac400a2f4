"""The chains job on a few sprites: its record, its report, a kill, another sampler, and mistakes."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from launching import ROOT
from small_sprites import check, experiment, run_jobs

import launch
from vdm_jax.base.errors import UserError
from vdm_jax.data.sprite_data import make_sprite_data
from vdm_jax.data.sprites import SpriteGrid
from vdm_jax.diffusion.posterior import score
from vdm_jax.experiments.common.populations import make_population
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.experiments.probes.chains import LINES, chains
from vdm_jax.experiments.probes.samplers import chosen_samplers
from vdm_jax.launch.store import claim
from vdm_jax.probing.chains.process import nearest_reader
from vdm_jax.probing.population import draw_members
from vdm_jax.report.page import write_report
from vdm_jax.report.sections import PROBES_PAGE


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("chains")
    assert run_jobs(experiment(), path, "exact", "chains") == "done"
    return path


def read(workdir):
    return json.loads((workdir / "chains.json").read_text())


def test_the_exact_model_is_on_the_exact_curves_and_ddim_is_not(workdir):
    record = read(workdir)
    assert record["timesteps"] == [0, 333, 667, 1000] and record["num_queries"] == 1_000
    assert set(record["samplers"]) == {"exact", "ddim:30"} and record["provenance"]["commit"]
    assert record["samplers"]["exact"]["num_steps"] == 22  # 333 and 667 are no multiples of 50
    for name, feature in record["samplers"]["exact"]["features"].items():
        for curve, distance in feature["distances"].items():
            assert distance["standard_errors"] < 4, (name, curve, distance)
        np.testing.assert_allclose(sum(feature["generated"]["share"]), 1, atol=1e-6)
        assert feature["round_trip"]["kept"][0] == feature["backward"]["accuracy"][0] == 1
    told = record["samplers"]["exact"]["real_or_generated"]
    assert np.all(abs(np.array(told["accuracy"]) - 0.5) < 4 * np.array(told["standard_error"]))
    assert record["samplers"]["exact"]["far_from_data"] == 0
    assert record["start_told_apart_at_most"] == pytest.approx(0.5203, abs=1e-3)  # Φ(½ √4.04e-5 √256)
    x = record["samplers"]["ddim:30"]["features"]["x"]
    assert x["distances"]["backward_accuracy"]["standard_errors"] > 4
    assert record["features"]["x"]["exact"]["retention"][0] == pytest.approx(1)


def test_the_report_draws_it(workdir):
    page = write_report(workdir, PROBES_PAGE).read_text()
    assert "When features are decided" in page and page.count("--jobs=") == 1, "nothing is missing but probes"
    assert (
        page.count("<img") == 1 + 5 + 5 + 5 + 2 + 1
    )  # all windows; exact; backward, round trip, shape by class, told apart
    assert "2 MMSE" in page


def test_a_kill_loses_one_part_and_a_sampler_may_be_added(workdir, capfd):
    whole = read(workdir)
    lines = (workdir / LINES).read_text().splitlines()
    (workdir / LINES).write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:100])
    more = experiment(chains__samplers="ddim:30,exact,ancestral:1")
    assert chains(more, workdir) == "done"
    told = [line for line in capfd.readouterr().out.splitlines() if line.startswith("chains:")]
    assert len(told) == 6 and "ddim, 30 steps, there and back from 1000" in told[0]
    again = read(workdir)
    for name in whole["samplers"]:
        assert again["samplers"][name]["features"] == whole["samplers"][name]["features"]
    assert list(again["samplers"]) == ["ddim:30", "exact", "ancestral:1"]
    assert again["samplers"]["ancestral:1"]["num_steps"] == 3


def test_round_trips_are_left_out_unless_asked_for(workdir, tmp_path, capfd):
    whole, path = read(workdir), tmp_path / "run"
    shutil.copytree(workdir, path)
    lines = (path / LINES).read_text().splitlines()
    from_noise = [line for line in lines if json.loads(line).get("start") is None]
    (path / LINES).write_text("\n".join(from_noise) + "\n")
    assert len(from_noise) < len(lines) and chains(experiment(chains__round_trips=False), path) == "done"
    assert "chains:" not in capfd.readouterr().out and (path / LINES).read_text().splitlines() == from_noise
    for name, found in read(path)["samplers"].items():
        assert set(whole["samplers"][name]) - set(found) == {"far_after_round_trip"}
        assert found["real_or_generated"] == whole["samplers"][name]["real_or_generated"]
        for feature, curves in found["features"].items():
            before = whole["samplers"][name]["features"][feature]
            assert set(before) - set(curves) == {"round_trip"} and set(curves["distances"]) < set(before["distances"])
            assert curves == {key: before[key] for key in curves} | {"distances": curves["distances"]}
            assert all(key.startswith("backward") for key in curves["distances"])
    page = write_report(path, PROBES_PAGE).read_text()
    assert "When features are decided" in page and page.count("<img") == 1 + 5 + 5 + 1 and "2 MMSE" not in page
    (path / LINES).write_text("\n".join(lines) + "\n")
    assert chains(experiment(), path) == "done"
    assert all(found == whole["samplers"][name] for name, found in read(path)["samplers"].items())


def test_other_measurements_are_left_alone(workdir, tmp_path):
    before = (workdir / LINES).read_bytes()
    for settings, told in (
        ({"chains__seed": 1}, "chains.seed is 0 there and 1 here"),
        ({"chains__every": 2}, "chains.every"),
        ({"diffusion__schedule": "cosine"}, "diffusion.schedule"),
    ):
        with pytest.raises(UserError, match=told):
            run_jobs(experiment(**settings), workdir, "chains")
    assert (workdir / LINES).read_bytes() == before
    with pytest.raises(UserError, match="--jobs=exact,chains"):
        run_jobs(experiment(), tmp_path / "none", "chains")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("samplers=exact,ddmi", "did you mean 'ddim'?"),
        ("samplers=ddim:many", "expected NAME or NAME:STEPS"),
        ("samplers=ddim:1001", "expected 1 to 1000"),
        ("samplers=,", "config.chains.samplers is empty"),
        ("readers=exact,nett", "did you mean 'net'?"),
        ("samplers=model-ddim", "'model-ddim' needs config.chains.model"),
        ("samplers=model-ddmi", "did you mean 'model-ddim'?"),
        ("model=somewhere", "has no effect with chains.samplers='exact'"),
        ("every=0", "at least 1"),
        ("num_queries=1", "at least 2"),
        ("far=0", "above 0"),
    ],
)
def test_mistakes_are_told_and_leave_nothing(tmp_path, capfd, flag, told):
    workdir = tmp_path / "run"
    arguments = [f"--config={ROOT}/configs/probes.py", f"--workdir={workdir}", f"--config.chains.{flag}"]
    assert launch.main(["launch.py", *arguments]) == 2
    assert told in capfd.readouterr().err and not workdir.exists()


def test_chains_without_exact_curves_are_told_before_the_probes_train(tmp_path, capfd):
    arguments = [f"--config={ROOT}/configs/probes.py", f"--workdir={tmp_path / 'run'}", "--jobs=probe,chains"]
    assert launch.main(["launch.py", *arguments]) == 2
    assert "no exact.json in" in capfd.readouterr().err and not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["{", "3", '{"timesteps": [0, 1000]}'])
def test_a_record_that_is_damaged_is_no_exact_curves(tmp_path, text):
    (tmp_path / "exact.json").write_text(text)
    with pytest.raises(UserError, match="no exact.json in"):
        check(experiment(), tmp_path, "probe", "chains")


def test_what_a_later_job_will_refuse_is_told_before_the_first(tmp_path):
    check(experiment(), tmp_path, "exact", "probe", "chains")
    others, kind = experiment(chains__seed=1, chain_probes__seed=1), KINDS["probes"]
    for job, file in (("chains", LINES), ("chain_probes", "chain_probes/kept.npz")):
        claim(kind, job, others.config, tmp_path, kind.inputs(others))
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(UserError, match="chains.seed is 1 there and 0 here"):
        check(experiment(), tmp_path, "exact", "probe", "chains")
    with pytest.raises(UserError, match="chain_probes.seed is 1 there and 0 here"):
        check(experiment(chains__seed=1, chain_probes__samplers="exact"), tmp_path, "chain_probes")


def test_samplers_are_told_with_their_steps():
    config = experiment(chains__samplers="exact, ddim:7", chains__num_steps=9).config
    assert chosen_samplers(config.chains) == {"exact": ("exact", 9, False), "ddim:7": ("ddim", 7, False)}
    config = experiment(chains__samplers="model-ddim:7").config
    assert chosen_samplers(config.chains) == {"model-ddim:7": ("ddim", 7, True)}


def test_the_reader_reads_what_was_drawn_and_the_nearest_of_what_is_none(key):
    population = experiment().population
    x, labels = draw_members(population.access, key, 40, population.num_members)
    reader, distance = nearest_reader(population), population.access.distance
    read = jax.jit(lambda x: reader(jax.random.fold_in(key, 1), x))
    for name, label in read(x).items():
        np.testing.assert_array_equal(label, labels[name], err_msg=name)
    np.testing.assert_allclose(distance(x), 0)
    wrong = x.at[:, 0, 0, 0].multiply(-1)  # a corner pixel
    np.testing.assert_allclose(distance(wrong), 2 / 16)
    np.testing.assert_array_equal(read(wrong)["x"], labels["x"])


@pytest.mark.slow
def test_labels_that_an_end_does_not_tell_apart_are_drawn(key):
    """Turns by 0 and 2π look the same: what is kept without noise is the exact R(0), and both are generated."""
    grid = SpriteGrid("twice", 16, 4, (1.0,), (0.0, 0.5, 2 * np.pi), (0, 3, 6), ("heart",))
    population = make_population(make_sprite_data(grid))
    x, labels = draw_members(population.access, key, 3_000, population.num_members)
    found = nearest_reader(population)(jax.random.fold_in(key, 1), x)["orientation"]
    p = population.posterior.classes(x, jnp.float32(-20.0))["orientation"]
    retention = score(population.features["orientation"], p).retention
    assert abs(float(retention.mean()) - 2 / 3) < 0.03  # one third is told apart, two thirds kept in half of all cases
    assert abs(float((found == labels["orientation"]).mean() - retention.mean())) < 0.03
    np.testing.assert_allclose(np.bincount(found, minlength=3) / 3_000, 1 / 3, atol=0.03)
