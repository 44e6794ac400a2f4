"""Probes and chains of a user's labelled images: exact curve in the set, held-out accuracy, chains, and mistakes."""

import json

import jax
import numpy as np
import pytest
from launching import ROOT
from reading import jobs_read_what_is_declared
from vdm_jax.configs import probes

import launch
from vdm_jax.base.errors import UserError
from vdm_jax.data.sources import load_data
from vdm_jax.experiments.probes.build import build_probes
from vdm_jax.experiments.probes.readers import make_readers, trained_reader

FEW = {
    "exact.num_timesteps": 3,
    "exact.max_queries": 200,
    "exact.batch_size": 20,
    "chains.samplers": "exact:4",
    "chains.num_queries": 60,
    "chains.batch_size": 60,
    "probe.net": "mlp",
    "probe.hidden": "(16,)",
    "probe.learning_rate": 1e-2,
    "probe.num_updates": 60,
    "probe.updates_per_round": 30,
    "probe.warm_updates": 60,
    "probe.num_validation": 64,
    "probe.num_test": 512,
    "normality.num_images": 100,
    "normality.num_components": 4,
    "normality.num_samples": 1_000,
}


def launched(workdir, *arguments) -> int:
    few = [f"--config.{name}={value}" for name, value in FEW.items()]
    return launch.main(
        ["launch.py", f"--config={ROOT}/configs/probes.py:images", f"--workdir={workdir}", *few, *arguments]
    )


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Of the digits as a file of one's own."""
    path, digits = tmp_path_factory.mktemp("labelled"), load_data("digits")
    arrays = {f"{key}_{name}": value for name in ("train", "validation", "test") for key, value in (
        ("x", getattr(digits, name).levels), ("y", getattr(digits, name).labels)
    )}  # fmt: skip
    np.savez(path / "mine.npz", num_levels=17, **arrays)
    of_file = ["--config.data.name=mine", f"--config.data.dir={path}"]
    with jobs_read_what_is_declared(path / "run"):
        assert launched(path / "run", *of_file, "--jobs=exact,train,probe,chains,normality,report") == 0
    return path / "run"


def read(workdir, name):
    return json.loads((workdir / name).read_text())


def test_the_gap_is_of_members_and_held_out_images_stand_apart(workdir):
    record = read(workdir, "probe.json")
    feature, exact = record["features"]["class"], read(workdir, "exact.json")["features"]["class"]
    assert record["in_set"] and record["timesteps"] == [0, 500, 1000] and feature["exact"] == exact["exact"]
    gap = np.array(feature["exact_minus_probe"]["accuracy"])
    assert np.all(gap >= -1e-6), "no probe is better than the posterior on the images it is over"
    apart = np.subtract(exact["exact"]["accuracy"], feature["probe"]["accuracy"])
    assert np.all(abs(gap - apart) < 0.1)
    held_out = feature["held_out"]["accuracy"]
    assert (
        held_out[0] > 0.5 > held_out[1] > held_out[2] - 0.1 and len(feature["held_out"]["accuracy_standard_error"]) == 3
    )


def test_chains_of_posterior_draws_are_on_the_exact_curve(workdir):
    found = read(workdir, "chains.json")["samplers"]["exact:4"]
    assert found["far_from_data"] == 0 and found["features"]["class"]["round_trip"]["kept"][0] == 1
    distances = found["features"]["class"]["distances"]
    assert distances["backward_accuracy"]["standard_errors"] < 4 and distances["round_trip_kept"]["standard_errors"] < 4


def test_the_report_says_which_images_the_curves_are_of(workdir):
    page = (workdir / "report" / "index.html").read_text()
    assert "held-out images" in page and "training images" in page and "--jobs=probe" not in page


@pytest.mark.slow
def test_a_network_reads_the_class_of_images():
    data = load_data("digits")
    config = probes.get_config("digits")
    chains = config.chains
    chains.update(readers="net,exact", reader_images=1_297, reader_steps=60)
    net = trained_reader(chains, data)
    population = build_probes(config).population
    assert net.errors["class"] < 0.5 and net.errors["class"] == net.any_error
    readers = make_readers(("net", "exact"), data, population, net)
    assert list(readers) == ["net", "exact"]
    chains.readers = "exact"
    assert trained_reader(chains, data) is None
    index = np.arange(40)
    x = population.take(index) + 0.01  # moved to the nearest pixel value

    read = {name: reader(jax.random.key(0), x)["class"] for name, reader in readers.items()}
    np.testing.assert_array_equal(read["exact"], data.train.labels[:40])
    assert (np.asarray(read["net"]) == data.train.labels[:40]).mean() > 0.5


@pytest.mark.parametrize(
    ("variant", "settings", "message"),
    [
        ("digits", {"probe.net": "matched"}, "config.probe.net='matched' matches templates of sprites, which these"),
        (
            "digits",
            {"chain_probes.samplers": "exact", "chain_probes.real_or_generated_net": "matched_statistics"},
            r"real_or_generated_net='matched_statistics' .* expected one of .*'linear'",
        ),
        ("images", {}, "the data source 'npz' needs a name"),
    ],
)
def test_mistakes(variant, settings, message):
    config = probes.get_config(variant)
    config.update_from_flattened_dict(settings)
    with pytest.raises(UserError, match=message):
        build_probes(config)


def test_a_config_of_an_earlier_version_is_read(tmp_path, capfd):
    """Its data had three settings, its probes of chains other names, one of its nets another name."""
    config = json.loads(probes.get_config("quick").to_json())
    config["data"] = {"source": "sprites", "name": "small", "dir": ""}
    own = config["chain_probes"]
    for name in ("net", "hidden", "updates", "learning_rate"):
        own[f"told_{name}"] = own.pop(f"real_or_generated_{name}")
    own["told_net"] = "evidence"
    (tmp_path / "config.json").write_text(json.dumps(config | {"name": "older"}))
    (tmp_path / "exact.json").write_text("{}")
    assert launch.main(["launch.py", f"--workdir={tmp_path}", "--jobs=report"]) == 0
    assert launch.main(["launch.py", f"--workdir={tmp_path}", "--jobs=probe", "--config.probe.net=evidence"]) == 2
    assert "probe.net='evidence'" in capfd.readouterr().err, "the name of now is matched_statistics"
