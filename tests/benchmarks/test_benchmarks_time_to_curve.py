"""The race to the exact curve end to end: its record and figure, and mistakes."""

import json
import pathlib

import numpy as np
import pytest

from vdm_jax.benchmarks.time_to_curve import WAYS, describe, line, main
from vdm_jax.probing.time_to_curve import Course

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = f"--config={ROOT}/configs/probes.py"
FEW = {"exact.num_timesteps": 3, "probe.net": "linear", "probe.num_updates": 4, "probe.warm_updates": 2}


@pytest.mark.slow
def test_a_record_and_a_figure(tmp_path, capfd):
    few = [f"--config.{name}={value}" for name, value in FEW.items()]
    options = ["--ways=trunk-fresh,separate-neighbour", "--seeds=1", "--fresh_updates=6", "--updates_per_round=2"]
    assert main([CONFIG, *few, *options, "--num_test=64", f"--out={tmp_path}"]) == 0
    told = capfd.readouterr().out.splitlines()
    assert told[0].startswith("trunk-fresh: ") and "of 3 probes not there" in told[0]
    record = json.loads((tmp_path / "time_to_curve-cpu.json").read_text())
    asked = record["config"]["probe"]
    assert (asked["net"], asked["members"], asked["num_validation"]) == ("linear", "trunk", 512), "as it was asked"
    assert record["provenance"]["commit"]
    fresh, neighbour = (record["ways"][name] for name in ("trunk-fresh", "separate-neighbour"))
    assert fresh["probes"] == 3 and neighbour["probes"] == 15, "five features apart"
    assert fresh["seconds_to_curve"] == [None], "six updates of a linear probe are not enough"
    assert len(fresh["course"][0]["seconds"]) == 1 + 3
    assert len(neighbour["course"][0]["seconds"]) == 1 + 2 * (1 + 2), (
        "where it begins; itself, then one wave, of two rounds each"
    )
    assert (tmp_path / "time_to_curve-cpu.png").stat().st_size > 1_000


def test_who_is_there_in_the_end_has_a_time():
    there = Course(np.array([1.0, 3.0]), np.array([[[0.5], [0.01]], [[0.02], [0.0]]]), None)
    never = Course(np.array([1.0, 4.0]), np.array([[[0.5], [0.01]], [[0.03], [0.0]]]), None)
    found = describe({"trunk-one": [there, never]}, 0.02)["trunk-one"]
    assert found["seconds_to_curve"] == [3.0, None] and found["largest_missed_at_the_end"] == [0.02, 0.03]
    assert found["course"][0]["share_there"] == [0.5, 1.0] and found["course"][1]["share_there"] == [0.5, 0.5]
    assert line("trunk-one", there, 0.02) == "trunk-one: 3.0 s of training, all probes there"
    assert "1 of 2 probes not there, largest gap 0.030" in line("trunk-one", never, 0.02)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--ways=trunk-none"], "did you mean 'trunk-one'?"),
        (["--within=0"], "expected a number above 0"),
        (["--seeds=0"], "expected at least 1"),
        (["--workdir=somewhere"], "--workdir is a flag of launch.py"),
        (["--sweep"], "--sweep is a flag of launch.py"),
        (["--jobs", "exact"], "--jobs is a flag of launch.py"),
        ([f"--out={__file__}"], "test_benchmarks_time_to_curve.py is no folder; choose another --out"),
        (["--seed=1"], "unknown flag 'seed'"),
        (["--config.probe.members=separate"], "is set by the race itself: see --ways"),
        (["--config.probe.nett=mlp"], "did you mean 'probe.net'?"),
        ([f"--config={ROOT}/configs/digits.py"], "of kind 'vae_vdm'; expected one of kind 'probes'"),
    ],
)
def test_mistakes_are_told(tmp_path, capfd, arguments, told):
    assert main([CONFIG, f"--out={tmp_path}", *arguments]) == 2
    assert told in capfd.readouterr().err and not list(tmp_path.iterdir())


def test_every_way_is_nets_and_a_start():
    assert set(WAYS) == {
        f"{members}-{start}" for members in ("separate", "trunk") for start in ("fresh", "one", "neighbour")
    }
