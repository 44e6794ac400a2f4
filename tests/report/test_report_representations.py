"""The page of representations: verdicts from differences paired over seeds, and what it says where records lack."""

import copy

import numpy as np
import pytest
from code_runs import code, codes_of, entry, with_times, worth_of, write_codes

from vdm_jax.base.statistics import paired_difference
from vdm_jax.report.published.representations.figures import times_figure, worth_figure
from vdm_jax.report.published.representations.page import PAGE
from vdm_jax.report.published.representations.records import NOT_DECIDED, NOT_RUN, runs_of, verdict
from vdm_jax.report.published.representations.tables import decoded_table, measures_table, worth_table
from vdm_jax.report.published.representations.verdicts import (
    GRANULARITY,
    TIME,
    answers,
    headline,
    summary,
    verdict_table,
)


def write_runs(folder, seeds: int, low: float = 0.1):
    """Digits with codes that were trained on much noise alone and read `low` more of the class, with little spread."""
    for seed in range(seeds):
        record = with_times(codes_of(seed, 0.01 * seed))
        record["codes"] |= {"drl_low": code(0.8 + low + 0.001 * seed), "drl_high": code(0.8 - 0.002 * seed)}
        record["codes"] |= {"drl_time@all": code(0.7), "drl_wide": code(0.9 + 0.01 * seed)}
        run = write_codes(folder / f"digits-{seed}", record)
        worth = copy.deepcopy(worth_of())
        worth["against_reference"]["drl_time"] = {"mean": [0.0, 0.5, 0.2], "area": entry(2.5 + 0.1 * seed)}
        write_codes(run, worth, "worth")
        errors = {"drl_low": 0.2, "drl_high": 0.1}
        linear = {name: {"reconstruction": {"rmse": entry(error)}} for name, error in errors.items()}
        write_codes(run, {"own": {}, "linear": linear, "references": {}}, "decoded")


def found(folder, data="digits"):
    return {one.comparison.text: one for one in answers(folder) if one.data == data}


def test_nothing_is_said_without_records(tmp_path):
    assert all(one.verdict == NOT_RUN for one in answers(tmp_path))
    assert headline(tmp_path).count(NOT_RUN) == 12 and verdict_table(tmp_path).count(NOT_RUN) == 3
    assert measures_table("digits", "readouts", tmp_path) == worth_table("digits", tmp_path) == "Not run."
    assert decoded_table("digits", tmp_path) == "Not run."
    for figure in (worth_figure(tmp_path), times_figure(tmp_path)):
        assert [axes.texts[0].get_text() for axes in figure.axes] == [NOT_RUN] * 3


def test_verdicts_are_paired_over_three_seeds(tmp_path):
    write_runs(tmp_path, 3)
    by_text = found(tmp_path)
    coarse = next(one for text, one in by_text.items() if text.startswith("linear readout of class: trained"))
    assert coarse.verdict == "yes" and coarse.comparison.claim == GRANULARITY and coarse.found.n == 3
    assert float(coarse.found.mean) == pytest.approx(0.1 + 0.003)
    wide = next(one for text, one in by_text.items() if "of as many numbers" in text)
    assert wide.verdict == "no" and wide.comparison.claim == TIME
    helped = next(one for text, one in by_text.items() if text.startswith("taken off the denoiser's error"))
    assert helped.verdict == "yes" and float(helped.found.mean) == pytest.approx(1.1)
    from_labels = next(one for text, one in by_text.items() if "as many principal components" in text)
    assert from_labels.verdict == NOT_RUN, "no principal components in these records"
    assert "not run 1 of" in headline(tmp_path) or "yes" in headline(tmp_path)
    assert verdict_table(tmp_path).splitlines()[2].startswith(f"| {GRANULARITY} | digits, 8x8 |")


def test_two_seeds_decide_nothing(tmp_path):
    write_runs(tmp_path, 2)
    assert {one.verdict for one in found(tmp_path).values()} == {NOT_RUN, f"{NOT_DECIDED}: 2 seeds"}
    assert len(runs_of(tmp_path, "digits")) == 2


@pytest.mark.parametrize(("values", "told"), [((1, 2, 1.5), "yes"), ((-1, -2, -1.5), "no"), ((1, -2, 1), NOT_DECIDED)])
def test_an_interval_on_one_side_is_a_verdict(values, told):
    assert verdict(paired_difference(np.array(values, float), np.zeros(3), "seeds")) == told


def test_verdicts_of_a_claim_are_counted():
    assert summary(["yes", "yes"]) == "yes" and summary([f"{NOT_DECIDED}: 1 seed"] * 2) == NOT_DECIDED
    assert summary(["yes", "no", "yes"]) == "yes 2 of 3, no 1 of 3"


def test_tables_and_figures_have_the_numbers(tmp_path):
    write_runs(tmp_path, 3)
    assert "0.9100 ± 0.0058" in measures_table("digits", "readouts", tmp_path)
    assert "| drl low | linear | 0.2 | — |" in decoded_table("digits", tmp_path)
    text = worth_table("digits", tmp_path)
    assert "| drl | 1.5 | 21 | 20 |" in text
    assert "| ceiling, exact | 6 |" in text and "| told class, exact | 2.3 |" in text
    first = worth_figure(tmp_path).axes[0]
    assert {line.get_label() for line in first.get_lines()} >= {"ceiling", "drl", "drl time"}
    assert all(make(tmp_path) for make in PAGE.tables.values())
