"""One table of several runs."""

import json

import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.report.compare.study import Measured, read_settings, study_table


def workdir(folder, name, seed=0, settings=None, config=None, **values):
    folder.mkdir()
    stored = {"name": name, "train": {"seed": seed}, "evaluate": {"seed": 0}} | (config or {})
    (folder / "config.json").write_text(json.dumps(stored))
    (folder / "evaluate.json").write_text(json.dumps(values | ({"settings": settings} if settings else {})))
    return folder


def test_runs_that_differ_in_their_seed_are_one_row(tmp_path):
    runs = [
        workdir(tmp_path / "a", "target", 0, bound_nats=80.0, encoder_kl_nats=10.0, frechet={"distance": 0.5}),
        workdir(tmp_path / "b", "target", 1, bound_nats=82.0, encoder_kl_nats=10.0, frechet={"distance": 0.7}),
        workdir(tmp_path / "c", "none", 0, bound_nats=78.25, encoder_kl_nats=None, frechet={"distance": 0.25}),
    ]
    head, _, target, none = study_table(runs).splitlines()
    assert head == "| setting | seeds | D + R, nats | R, nats | Fréchet, w from prior |"
    assert target == "| target | 2 | 81.0 ± 1.0 | 10 | 0.60 ± 0.10 |"
    assert none == "| none | 1 | 78.25 | — | 0.25 |"


def test_standard_errors_are_over_seeds_and_over_images_in_brackets(tmp_path):
    values = [{"bpd": bpd, "bpd_standard_error": 0.25, "active_units": 4} for bpd in (1.0, 2.0, 3.0)]
    runs = [workdir(tmp_path / str(seed), "x", seed, **value) for seed, value in enumerate(values)]
    assert study_table(runs).splitlines()[2] == "| x | 3 | 2.00 ± 0.58 | 4 |"
    assert study_table(runs[:1]).splitlines()[2] == "| x | 1 | 1.00 (± 0.25) | 4 |"
    (setting,) = read_settings(runs)
    assert setting.seeds == [0, 1, 2] and set(setting.numbers()) == {("bpd",), ("active_units",)}
    assert setting.measured("bpd").error == pytest.approx(1 / 3**0.5) and setting.measured("bpd").over == "seeds"


def test_a_number_that_one_seed_lacks_is_not_averaged(tmp_path):
    runs = [workdir(tmp_path / "a", "x", 0, bpd=1.0, psnr=2.0), workdir(tmp_path / "b", "x", 1, bpd=1.0, psnr=None)]
    (setting,) = read_settings(runs)
    assert setting.measured("psnr") is None and set(setting.numbers()) == {("bpd",)}


def test_runs_of_one_name_that_differ_are_told_apart(tmp_path):
    def run(folder, seed, nats):
        return workdir(tmp_path / folder, "x", seed, config={"rate": {"mode": "target", "target_nats": nats}}, bpd=nats)

    settings = read_settings([run("a", 0, 5.0), run("b", 0, 10.0), run("c", 1, 5.0)])
    assert [(setting.name, setting.seeds) for setting in settings] == [
        ("x,target_nats=5", [0, 1]),
        ("x,target_nats=10", [0]),
    ]


def test_settings_are_those_of_the_evaluation(tmp_path):
    """An evaluation may be made with other settings than the training's config.json."""
    runs = [
        workdir(tmp_path / str(passes), "x", settings={"evaluate": {"passes": passes, "seed": 0}}, bpd=1.0)
        for passes in (1, 4)
    ]
    assert [setting.name for setting in read_settings(runs)] == ["x,passes=1", "x,passes=4"]


def test_seeds_of_the_evaluation_alone_are_no_seeds(tmp_path):
    """Two evaluations of one training say nothing about another training."""
    runs = [
        workdir(tmp_path / f"{seed}{again}", "x", seed, settings={"evaluate": {"seed": again}}, bpd=1.0)
        for seed in (0, 1)
        for again in (0, 1)
    ]
    settings = read_settings(runs)
    assert [(setting.name, setting.seeds) for setting in settings] == [
        ("x,evaluate.seed=0", [0, 1]),
        ("x,evaluate.seed=1", [0, 1]),
    ]
    assert [setting.seeds for setting in read_settings([runs[0], runs[3]])] == [[0, 1]]


def test_one_training_twice_is_refused(tmp_path):
    runs = [workdir(tmp_path / name, "x", 0, bpd=1.0) for name in "ab"]
    with pytest.raises(UserError, match="^.*a and .*b are runs of the same settings and seed$"):
        study_table(runs)


def test_a_run_that_was_not_evaluated_is_told(tmp_path):
    with pytest.raises(UserError, match="evaluate"):
        study_table([tmp_path])


def test_rounding_is_no_error():
    values = np.array([0.97, 0.97 + 1e-16, 0.97])
    assert str(Measured(float(values.mean()), 8e-17, "seeds")) == "0.97"
    assert str(Measured(0.0, 0.1, "seeds")) == "0.00 ± 0.10"
    assert str(Measured(4.5e-21, 4.4e-21, "seeds")) == "4.5e-21 ± 4.4e-21"


def test_columns_are_those_of_the_kinds_that_there_are(tmp_path):
    for name, config, values in (
        ("a", {"kind": "ddpm"}, {"loss": 0.5, "bound_nats": 9.0, "coverage": {"not_a_sprite": 0.25}}),
        ("b", {}, {"bound_nats": 8.0, "distortion_nats": 7.0}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"name": name} | config))
        (tmp_path / name / "evaluate.json").write_text(json.dumps(values))
    assert study_table([tmp_path / "a"]).splitlines()[::2] == [
        "| setting | seeds | loss | bound, nats | no sprite |",
        "| a | 1 | 0.5 | 9 | 0.25 |",
    ]
    assert study_table([tmp_path / "b"]).splitlines()[0] == "| setting | seeds | D + R, nats | D, nats |"


def test_sprites_have_the_distance_to_their_entropy_and_every_factor(tmp_path):
    readout = {name: {"linear": {"value": 0.5, "standard_error": 0.01, "num": 9}} for name in ("shape", "x")}
    run = workdir(tmp_path / "a", "target", bound_nats=9.0, bound_minus_entropy_nats=2.36, readout=readout)
    head, _, row = study_table([run]).splitlines()
    assert head == "| setting | seeds | D + R, nats | D + R above the entropy, nats | shape, linear | x, linear |"
    assert row == "| target | 1 | 9 | 2.36 | 0.500 (± 0.010) | 0.500 (± 0.010) |"
