"""The probe job end to end: its record beside the exact one, its report, a second run, other settings, and mistakes."""

import json
import os
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
from launching import ROOT

import launch
from configs import probes
from vdm_jax.base.locks import alone_in
from vdm_jax.diffusion.schedules import ddpm_linear, dirac
from vdm_jax.diffusion.timesteps import gammas_at, timesteps
from vdm_jax.experiments.probes.build import build_probes
from vdm_jax.experiments.probes.training import build_ensemble
from vdm_jax.probing.example_sources import IMAGE
from vdm_jax.probing.training import warm_start_index
from vdm_jax.report.primitives.windows import window_cells

FEW = {
    "exact.num_timesteps": 3,
    "exact.max_queries": 200,
    "exact.batch_size": 100,
    "probe.net": "linear",
    "probe.num_updates": 4,
    "probe.updates_per_round": 2,
    "probe.warm_updates": 2,
    "probe.learning_rate": 3e-3,
    "probe.num_validation": 64,
    "probe.num_test": 128,
}


def launched(workdir, *arguments, but: tuple[str, ...] = ()) -> int:
    few = [f"--config.{name}={value}" for name, value in FEW.items() if name not in but]
    return launch.main(["launch.py", f"--config={ROOT}/configs/probes.py", f"--workdir={workdir}", *few, *arguments])


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("probe")
    assert launched(path, "--jobs=exact,probe,report") == 0
    return path


def test_the_record_has_probes_beside_the_exact_curves(workdir):
    record = json.loads((workdir / "probe.json").read_text())
    exact = json.loads((workdir / "exact.json").read_text())["features"]
    assert record["timesteps"] == [0, 500, 1000] and record["provenance"]["commit"]
    for name, feature in record["features"].items():
        score = "accuracy" if name == "shape" else "r2"
        assert {score, f"{score}_standard_error"} <= set(feature["probe"]) and feature["exact"] == exact[name]["exact"]
        gap, curves = np.array(feature["exact_minus_probe"][score]), (exact[name]["exact"], feature["probe"])
        apart = np.subtract(*(curve[score] for curve in curves))
        error = np.hypot(*(curve[f"{score}_standard_error"] for curve in curves))
        assert np.all(abs(gap - apart) < 4 * error + 1e-5), "the same but for which images and noise were drawn"
        assert feature["falls_short"] == (gap > 0.05).tolist()
        assert feature["windows_standard_error"].keys() == feature["exact_windows_standard_error"].keys()
        assert feature["falls_short"][0], "four updates of a linear probe are not enough"
        assert set(feature["windows"]) == {"95%", "50%", "5%"}
    assert np.shape(record["updates"]) == (3, 1) and record["members"] == ["shape+orientation+scale+x+y/0"]


def test_the_report_draws_it_and_a_second_run_trains_nothing(workdir, capfd):
    page = (workdir / "report" / "index.html").read_text()
    assert "Trained probes" in page and page.count("<img") == 1 + 5 + 6
    assert page.count("--jobs=normality,chains,chain_probes,report") == page.count("--jobs=") == 1, "what is missing"
    before = json.loads((workdir / "probe.json").read_text())["features"]
    capfd.readouterr()
    assert launched(workdir, "--jobs=probe", "--config.probe.memory_gib=2", "--config.probe.at_once=1") == 0
    assert "done" not in capfd.readouterr().out
    assert json.loads((workdir / "probe.json").read_text())["features"] == before


def test_the_training_is_a_job_of_its_own(workdir, tmp_path, capfd):
    """It leaves the probes, and the job `probe` makes of them what it would have made alone."""
    assert launched(tmp_path, "--jobs=train") == 0
    assert not (tmp_path / "probe.json").exists() and list((tmp_path / "probe").glob("timesteps-*.npz"))
    assert "timesteps 0 … 1000 done" in capfd.readouterr().out
    assert launched(tmp_path, "--jobs=train,probe,report") == 0
    assert "done" not in capfd.readouterr().out, "nothing is trained again"
    alone, record = (json.loads((path / "probe.json").read_text()) for path in (workdir, tmp_path))
    for name, feature in record["features"].items():
        assert feature["probe"] == alone["features"][name]["probe"] and "exact" not in feature
    assert "Trained probes" in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.parametrize("job", ["train", "probe"])
def test_one_process_trains_them(tmp_path, capfd, job):
    """Whichever of the two jobs it is at."""
    with alone_in(tmp_path, ".probe", "at the job probe"):
        assert launched(tmp_path, f"--jobs={job}") == 2
    assert f"another process is at the job probe in {tmp_path}" in capfd.readouterr().err
    assert not (tmp_path / "probe").exists()


@pytest.mark.slow
def test_what_scores_probes_was_never_shown_to_them(key):
    """Training, early stopping and the test each draw from their own tenths of the images, and so do the examples."""
    experiment = build_probes(probes.get_config())
    ensemble, sources = build_ensemble(experiment.config.probe, experiment.population)
    own = {"train": ensemble.train, "validation": ensemble.validation, "test": sources["test"]}
    condition, grid = {"gamma": jnp.float32(0)}, experiment.data.grid
    parts = {
        name: set(np.asarray(source.draw(key, condition, 4_000)[1][IMAGE]).tolist()) for name, source in own.items()
    }
    splits = {name: set(index.tolist()) for name, index in grid.splits().items()}
    assert all(parts[name] <= splits[name] and len(parts[name]) > 500 for name in splits)
    assert not splits["train"] & splits["validation"] and not (splits["train"] | splits["validation"]) & splits["test"]
    shown = np.asarray(ensemble.examples).reshape(len(ensemble.examples), -1)
    rendered = np.asarray(grid.render(jnp.asarray(sorted(splits["train"])))).reshape(-1, shown.shape[1])
    assert {row.tobytes() for row in shown} <= {row.tobytes() for row in rendered}


def test_probes_are_judged_by_the_posterior_and_by_labels_alike(workdir):
    record = json.loads((workdir / "probe.json").read_text())
    for name, feature in record["features"].items():
        kind = "accuracy" if name == "shape" else "r2"
        judged, by_label = feature["probe"], feature["by_label"]
        error = np.hypot(judged[f"{kind}_standard_error"], by_label[f"{kind}_standard_error"])
        assert np.all(abs(np.subtract(judged[kind], by_label[kind])) < 5 * error + 0.02), name
    shape = record["features"]["shape"]["probe"]
    assert shape["accuracy"][2] == pytest.approx(1 / 3, abs=0.01), "which labels the split holds plays no part"
    assert shape["accuracy_standard_error"][2] < 0.01


@pytest.mark.slow
def test_timesteps_of_one_gamma_share_their_probes(tmp_path, capfd):
    flags = ["--config.diffusion.schedule=dirac", "--config.exact.num_timesteps=5", "--jobs=probe"]
    assert launched(tmp_path, *flags) == 0
    record = json.loads((tmp_path / "probe.json").read_text())
    accuracy = record["features"]["shape"]["probe"]["accuracy"]
    assert len(record["timesteps"]) == len(accuracy) == 5 and accuracy[0] == accuracy[1]
    stored = [np.load(path)["timesteps"] for path in (tmp_path / "probe").glob("timesteps-*.npz")]
    assert len(np.concatenate(stored)) == len(set(record["abar"])) < 5
    capfd.readouterr()
    assert launched(tmp_path, *flags, "--config.exact.num_timesteps=6") == 2
    told = capfd.readouterr().err
    assert "holds another config: exact.num_timesteps is 5 there and 6 here" in told and told.count("\n") == 1


@pytest.mark.slow
def test_without_a_warm_start_every_timestep_begins_from_labelled_examples(tmp_path):
    matched = ["probe.net=matched", "probe.warm_start=False", "probe.num_templates=8", "probe.num_examples=64"]
    flags = (f"--config.{setting}" for setting in matched)
    assert launched(tmp_path, "--jobs=probe", *flags, but=("probe.warm_updates",)) == 0
    assert not (tmp_path / "probe" / "warm_start").exists()
    features = json.loads((tmp_path / "probe.json").read_text())["features"]
    assert features["x"]["probe"]["r2"][0] > 0.5, "four updates of nets begun from nothing would know nothing"


def test_other_probes_are_left_alone(workdir, capfd):
    before = (workdir / "probe.json").read_bytes()
    assert launched(workdir, "--config.probe.num_seeds=2") == 2
    assert "probe.num_seeds is 1 there and 2 here" in capfd.readouterr().err
    assert (workdir / "probe.json").read_bytes() == before


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--config.probe.net=matchd", "did you mean 'matched'?"),
        ("--config.probe.members=trunks", "did you mean 'trunk'?"),
        ("--config.probe.targets=value", "did you mean 'values'?"),
        ("--config.probe.net=matched --config.probe.window=33", "expected 1 … 32"),
        ("--config.probe.num_test=0", "at least 1"),
        ("--config.probe.memory_gib=0", "above 0"),
    ],
)
def test_mistakes_are_told_and_leave_nothing(tmp_path, capfd, flag, told):
    assert launched(tmp_path / "run", *flag.split()) == 2
    assert told in capfd.readouterr().err and not (tmp_path / "run").exists()


@pytest.mark.parametrize(("schedule", "first"), [(ddpm_linear(), 250), (dirac(), 503)])
def test_training_begins_where_something_is_seen(schedule, first):
    steps = timesteps(21, schedule)
    assert steps[warm_start_index(gammas_at(schedule, steps))] == first


SWEEP = """
from vdm_jax.configs.probes import get_config


def get_sweep():
    return [{"variant": "quick", "exact.max_queries": 200}, {"variant": "small-dirac", "exact.max_queries": 2}]
"""


@pytest.fixture
def swept(workdir, tmp_path):
    """What is typed for a sweep whose first member is done, and its folder."""
    (tmp_path / "own.py").write_text(SWEEP)
    folder = tmp_path / "sweep"
    shutil.copytree(workdir, folder / "quick,max_queries=200")
    (folder / "quick,max_queries=200" / "report" / "index.html").touch()  # a test above wrote probe.json again
    few = [f"--config.{name}={value}" for name, value in FEW.items() if name != "exact.max_queries"]
    few += ["--sweep", "--jobs=exact,probe,report", f"--config={tmp_path / 'own.py'}", f"--workdir={folder}"]
    return ["launch.py", *few], folder


def test_a_sweep_ends_with_the_windows_of_all(swept, capfd):
    words, folder = swept
    assert launch.main([*words, "--sweep=quick*"]) == 0
    out = capfd.readouterr().out
    assert out.partition("\n")[2].startswith("sweep: 1 members, 1 of them done\n| run | feature |")
    assert "Missing" not in out  # the other member was not asked for
    told = json.loads((folder / "sweep.json").read_text())["runs"]["quick,max_queries=200"]
    record = json.loads((folder / "quick,max_queries=200" / "probe.json").read_text())
    for name, feature in record["features"].items():
        row = next(line for line in out.splitlines() if f"max_queries=200 | {name} |" in line)
        cells = [cell.strip() for cell in row.split("|")[3:-1]]
        exact = window_cells(feature["exact_windows"], feature["exact_windows_standard_error"])
        assert cells[:6] == exact + window_cells(feature["windows"], feature["windows_standard_error"])
        assert cells[6] == f"{max(next(iter(feature['exact_minus_probe'].values()))):.3f}" and cells[7].startswith("0")
        assert told["features"][name]["probe_windows"] == feature["windows"]
        assert told["features"][name]["exact_windows_standard_error"] == feature["exact_windows_standard_error"]
        assert (folder / f"sweep_{name}.png").stat().st_size > 10_000
        assert (folder / f"sweep_{name}_logsnr.png").stat().st_size > 10_000


def drop_exact(path):
    """As if the probes had been there before the exact curves."""
    record = json.loads(path.read_text())
    for feature in record["features"].values():
        del feature["exact"]
    path.write_text(json.dumps(record))
    os.utime(path, (0, 0))


@pytest.mark.parametrize(
    ("spoil", "left"),
    [
        (lambda folder: (folder / "probe.json").unlink(), "probe,report"),
        (lambda folder: (folder / "exact.json").unlink(), "exact,probe,report"),
        (lambda folder: (folder / "exact.json").write_text("{"), "exact,probe,report"),
        (lambda folder: (folder / "report" / "index.html").unlink(), "report"),
        (lambda folder: drop_exact(folder / "probe.json"), "probe,report"),
        (lambda folder: None, "done"),
    ],
)
def test_what_a_sweep_has_left_to_do(swept, capfd, spoil, left):
    words, folder = swept
    spoil(folder / "quick,max_queries=200")
    assert launch.main([*words, "--dry_run"]) == 0
    first, second = capfd.readouterr().out.splitlines()
    assert first.endswith(f"  # {left}") and second.endswith("  # exact,probe,report")


def test_a_training_is_left_until_every_timestep_is_stored(swept, capfd):
    words, folder = swept
    words = [word.replace("exact,probe,report", "train") for word in words]
    member = folder / "quick,max_queries=200"
    (chunk,) = (member / "probe").glob("timesteps-*.npz")
    for spoil, left in (
        (lambda: None, "done"),
        (lambda: (member / "probe.json").unlink(), "done"),
        (lambda: chunk.write_bytes(b""), "train"),
    ):
        spoil()
        assert launch.main([*words, "--dry_run"]) == 0
        assert capfd.readouterr().out.splitlines()[0].endswith(f"  # {left}")


def test_chains_that_were_asked_for_are_left_too(swept, capfd):
    words, folder = swept
    words = [word.replace("probe,report", "probe,chain_probes,report") for word in words]
    for samplers, left in (("", "done"), ("exact", "chain_probes,report")):
        assert launch.main([*words, "--dry_run", f"--config.chain_probes.samplers={samplers}"]) == 0
        assert capfd.readouterr().out.splitlines()[0].endswith(f"  # {left}")


def test_what_only_judges_is_judged_anew(workdir, capfd):
    assert launched(workdir, "--jobs=probe", "--config.probe.shortfall=2") == 0
    record = json.loads((workdir / "probe.json").read_text())
    assert not any(any(feature["falls_short"]) for feature in record["features"].values())
    assert "falls short" not in capfd.readouterr().out


def test_a_sweep_looks_at_its_members_first(swept, capfd):
    words, folder = swept
    assert launch.main([*words, "--config.exact.seed=1"]) == 2
    told = capfd.readouterr().err
    assert "sweep member 'quick,max_queries=200'" in told and "exact.seed is 0 there and 1 here" in told
