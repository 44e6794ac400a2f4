"""What a sweep of DDPMs ends with: sweep.md, sweep.json, sweep.png."""

import json
import math
import warnings

import matplotlib.pyplot as plt
import pytest

from vdm_jax.report.compare.ddpm_sweep import losses_figure, write_ddpm_sweep
from vdm_jax.report.compare.study import read_settings

KIND = {"num_hit": 30, "num_hit_expected": 31.5, "kl_nats": 0.25, "kl_expected_nats": 0.125}
COVERAGE = {
    "not_a_sprite": 0.1,
    "not_a_sprite_standard_error": 0.03,
    "readers": {"exact": {"histograms": {"kind": KIND}}, "net": {"histograms": {"kind": {"chi_square": math.inf}}}},
}


def write_run(folder, name, seed, losses=(1.0, 0.5), **numbers):
    run = folder / f"{name},seed={seed}"
    run.mkdir(parents=True)
    config = {"kind": "ddpm", "name": f"ddpm-{name}", "train": {"seed": seed}}
    (run / "config.json").write_text(json.dumps(config))
    (run / "evaluate.json").write_text(json.dumps({"loss": 0.1, "loss_standard_error": 0.01} | numbers))
    rows = [{"step": step, "split": "validation", "loss": loss} for step, loss in enumerate(losses, 1)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def test_digits_and_sprites_in_one_table(tmp_path):
    digits = [write_run(tmp_path, "digits", seed, loss=0.5 + seed, frechet={"distance": 7.0 + seed}) for seed in (0, 1)]
    sprites = [write_run(tmp_path, "small", 0, coverage=COVERAGE, bound_nats=12.0)]
    sprites += [write_run(tmp_path, "small-dirac", 0, coverage=COVERAGE, bound_nats=None)]
    runs = {run.name: run for run in digits + sprites}
    text = write_ddpm_sweep(tmp_path / "out", runs, {"full": "failed"})
    assert text.splitlines()[:5] == [
        "| setting | seeds | loss | bound, nats | Fréchet | no sprite | kinds hit | kinds hit by as many data "
        "| KL of kinds, nats | KL of as many data |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| ddpm-digits | 2 | 1.00 ± 0.50 | — | 7.50 ± 0.50 | — | — | — | — | — |",
        "| ddpm-small | 1 | 0.100 (± 0.010) | 12 | — | 0.100 (± 0.030) | 30 | 31.5 | 0.25 | 0.125 |",
        "| ddpm-small-dirac | 1 | 0.100 (± 0.010) | — | — | 0.100 (± 0.030) | 30 | 31.5 | 0.25 | 0.125 |",
    ]
    assert "Missing, failed: full\n" in text
    assert (tmp_path / "out" / "sweep.md").read_text() == f"{text}\n![validation loss](sweep.png)\n"
    told = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert told["settings"]["ddpm-digits"]["numbers"]["loss"] == {"mean": 1.0, "standard_error": 0.5, "over": "seeds"}
    assert plt.imread(tmp_path / "out" / "sweep.png").std() > 0


def test_what_is_infinite_has_no_error(tmp_path):
    runs = {run.name: run for run in (write_run(tmp_path, "small", seed, coverage=COVERAGE) for seed in (0, 1))}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_ddpm_sweep(tmp_path / "out", runs, {})
    told = json.loads((tmp_path / "out" / "sweep.json").read_text())["settings"]["ddpm-small"]["numbers"]
    found = told["coverage.readers.net.histograms.kind.chi_square"]
    assert found == {"mean": None, "standard_error": None, "over": "seeds"}


def test_a_line_a_run_and_a_look_a_setting(tmp_path):
    runs = [write_run(tmp_path, f"setting{i:02}", seed) for i in range(12) for seed in (0, 1)]
    drawn = losses_figure(read_settings(runs))
    (axes,) = drawn.axes
    looks = [(line.get_color(), line.get_linestyle()) for line in axes.lines]
    assert len(looks) == 24 and looks[::2] == looks[1::2] and len(set(looks)) == 12
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == [f"ddpm-setting{i:02}" for i in range(12)]
    assert axes.get_yscale() == "log"
    drawn.draw_without_rendering()
    assert not axes.bbox.overlaps(drawn.legends[0].get_window_extent())


@pytest.mark.parametrize("losses", [(), (math.nan,), (math.inf, math.nan), (0.0,)])
def test_nothing_that_could_be_drawn(tmp_path, losses):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (axes,) = losses_figure(read_settings([write_run(tmp_path, "small", 0, losses)])).axes
    assert [text.get_text() for text in axes.texts] == ["no finite value"]


@pytest.mark.slow
def test_no_run(tmp_path):
    text = write_ddpm_sweep(tmp_path, {}, {"a": "stopped"})
    assert text.startswith("No member is evaluated yet.\n") and (tmp_path / "sweep.png").exists()
