"""The page of representations: verdicts from differences paired over seeds, its tables and its figures."""

import copy

import numpy as np
import pytest
from code_runs import code, codes_of, entry, with_times, worth_of, write_codes

from vdm_jax.base.statistics import paired_difference
from vdm_jax.report.published.representations.figures import differences_figure, times_figure, worth_figure
from vdm_jax.report.published.representations.page import PAGE
from vdm_jax.report.published.representations.records import NOT_DECIDED, difference, is_shown, runs_of, verdict
from vdm_jax.report.published.representations.verdicts import (
    GRANULARITY,
    PAYS,
    TIME,
    answers,
    comparisons,
    headline,
    summary,
    verdict_table,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three seeds of digits. Codes of much noise read 0.1 more of the class, and a rate of 4 nats saves 3.5."""
    return write_runs(tmp_path_factory.mktemp("page"), 3)


def write_runs(folder, seeds: int):
    for seed in range(seeds):
        record = with_times(codes_of(seed, 0.01 * seed))
        record["codes"] |= {"drl_low": code(0.9 + 0.001 * seed), "drl_high": code(0.8 - 0.002 * seed)}
        record["codes"] |= {"drl_time@all": code(0.7), "drl_wide": code(0.9 + 0.01 * seed)}
        run = write_codes(folder / f"digits-{seed}", record)
        worth = copy.deepcopy(worth_of())
        timed = {"mean": [0.0, 0.5, 0.2], "standard_error": [0.1] * 3, "area": entry(2.5 + 0.1 * seed)}
        worth["against_reference"]["drl_time"] = timed
        worth["runs"]["drl_time"] = worth["runs"]["drl"] | {"of_time": True}
        write_codes(run, worth, "worth")
        errors = {"drl_low": 0.2, "drl_high": 0.1}
        linear = {name: {"reconstruction": {"rmse": entry(error)}} for name, error in errors.items()}
        write_codes(run, {"own": {}, "linear": linear, "references": {}}, "decoded")
    return folder


def found(folder):
    return {one.comparison.text: one for one in answers(folder)}


def test_verdicts_are_paired_over_three_seeds(folder):
    by_text = found(folder)
    coarse = by_text["linear readout of class: log SNR below the split, less above it"]
    assert coarse.verdict == "yes" and coarse.comparison.claim == GRANULARITY and coarse.found.n == 3
    assert float(coarse.found.mean) == pytest.approx(0.1 + 0.003)
    fine = by_text["error of the best linear map to pixels: log SNR below the split, less above it"]
    assert float(fine.found.mean) == pytest.approx(0.1)
    wide = by_text["linear readout of class: five times together, less E(x) of as many numbers"]
    assert wide.verdict == "no" and wide.comparison.claim == TIME
    pays = by_text["D + R without a code, less that of vae vdm"]
    assert pays.comparison.claim == PAYS and pays.verdict == "no" and float(pays.found.mean) == pytest.approx(-0.51)
    assert not any("principal" in text for text in by_text), "there are none in these records"
    lines = headline(folder).splitlines()
    assert lines[0].endswith("(Abstreiter et al.), 8x8 digits: yes in 2 of 2 comparisons.") and len(lines) == 4
    assert verdict_table(folder).count("\n") == 1 + len(by_text)


def test_the_helps_of_a_code_for_each_time_judge_nothing():
    texts = [one.text for one in comparisons("digits", 16) + comparisons("sprites", 8)]
    assert not any("denoiser" in text for text in texts)
    assert any("readout of shape, with the sign changed: VDRL at one rate" in text for text in texts)


def test_two_seeds_decide_nothing_and_a_seed_without_a_record_is_left_out(tmp_path):
    write_runs(tmp_path, 2)
    assert {one.verdict for one in found(tmp_path).values()} == {f"{NOT_DECIDED}: 2 seeds"}
    runs = runs_of(tmp_path, "digits")
    values = {run.path.name: 1.0 + i for i, run in enumerate(runs)}
    assert float(difference(runs, lambda run: values[run.path.name], lambda run: 0.5).mean) == 1.0
    one = difference(runs, lambda run: values[run.path.name], lambda run: 0.5 if run.path.name == "digits-1" else None)
    assert (one.n, float(one.mean)) == (1, 1.5)
    assert difference(runs, lambda run: None, lambda run: 1.0) is None


@pytest.mark.parametrize(("values", "said"), [((1, 2, 1.5), "yes"), ((-1, -2, -1.5), "no"), ((1, -2, 1), NOT_DECIDED)])
def test_an_interval_on_one_side_is_a_verdict(values, said):
    assert verdict(paired_difference(np.array(values, float), np.zeros(3), "seeds")) == said


def test_verdicts_of_a_claim_are_counted():
    assert summary(["yes", "yes"]) == "yes in 2 of 2 comparisons" and summary(["no"]) == "no in 1 of 1 comparison"
    assert summary(["yes", f"{NOT_DECIDED}: 1 seed", "yes"]) == f"yes in 2 of 3 comparisons, {NOT_DECIDED} in 1"


def test_tables_have_the_numbers_of_the_codes_that_are_shown(folder):
    made = {name: make(folder) for name, make in PAGE.tables.items()}
    assert "| drl | 0.9100 ± 0.0058" in made["digits-readouts"] and "t = 0.2" not in made["digits-readouts"]
    assert "| timed | 0.2 | 0.6 |" in made["digits-times"]
    assert "| drl low | linear | 0.2 | — |" in made["digits-decoded"]
    assert "| drl | 1.5 | — | 21 | 20 |" in made["digits-worth"]
    assert "| drl time | — | 2.600 ± 0.058 | 21 | 20 |" in made["digits-worth"], "no information"
    assert "| given class, exact, training images | 2.3 | — |" in made["digits-worth"]
    assert "| vae vdm | 4 |" in made["digits-costs"]
    assert [is_shown(name) for name in ("a@all", "a@0.5", "untrained_drl", "untrained_target")] == [
        True,
        False,
        True,
        False,
    ]


def test_figures_have_t_intervals_over_seeds(folder):
    scores, nats = differences_figure(folder).axes
    assert len(nats.containers) == 1 and len(scores.containers) == len(found(folder)) - 1
    exact, codes = worth_figure(folder).axes
    assert {line.get_label() for line in exact.get_lines()} >= {"ceiling", "given class"}
    assert "drl" in {line.get_label() for line in codes.get_lines()}
    (axes,) = times_figure(folder).axes
    (line,) = axes.get_lines()
    np.testing.assert_allclose(line.get_ydata(), [0.6, 0.9])
