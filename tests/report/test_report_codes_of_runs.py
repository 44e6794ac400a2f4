"""The tables of codes have the numbers of their records, and say what is missing."""

import json

import numpy as np
import pytest
from code_runs import code, codes_of, decoded_of, with_times, worth_of, write_codes

from vdm_jax.report.compare.codes_sweep import group, table_of, write_codes_sweep
from vdm_jax.report.page import write_report
from vdm_jax.report.primitives.code_measures import INFORMATION, READOUTS, measures_of, name_of
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.sections import CODES_PAGE
from vdm_jax.report.sections.representations.times import by_time, timed_codes
from vdm_jax.report.sections.representations.worth import middle, significance


def test_measures_are_those_that_some_code_has():
    measures = measures_of(codes_of())
    titles = {name: [one.title for one in measures if one.group == name] for name in (READOUTS, INFORMATION)}
    assert titles[READOUTS] == ["class, accuracy: linear", "class, accuracy: MLP", "class, accuracy: kNN"]
    assert titles[INFORMATION][:2] == ["I(code; class) at least, linear", "I(code; class) at least, MLP"]
    assert "rate to N(0, I)" in titles[INFORMATION] and "rate to the aggregate posterior" not in titles[INFORMATION]
    assert (
        name_of("drl_time@0.5") == "drl time, t = 0.5"
        and name_of("drl_time@all_pca_16") == "drl time, all times, 16 components"
    )


def test_the_page_has_the_numbers(tmp_path):
    record = codes_of()
    record["codes"]["quick"] = code(0.5, step=200)
    page = write_report(write_codes(tmp_path, record), CODES_PAGE).read_text()
    assert '0.900 <span class="error">± 0.010</span>' in page and "vae vdm" in page
    assert "Not converged:</strong> the shortest training has 200 updates" in page
    assert "Disentanglement: There are no numbers: the factors of these images are not known." in page
    assert "N = 300 images" in page
    assert '80.500 <span class="error">± 0.010</span>' in page and "No R, nats of drl: no rate." in page
    assert (
        "There is no trained run."
        in write_report(write_codes(tmp_path, record | {"costs": {}}), CODES_PAGE).read_text()
    )


def test_a_number_that_does_not_apply_has_its_reason(tmp_path):
    """As R² of test images of one value; of the times of E(x, t) another one is then the best."""
    record = with_times(codes_of())
    for name, part in record["codes"].items():
        if name != "timed@0.2":
            unscored = {"value": None, "standard_error": None, "num": 300, "reason": "one value"}
            part["readouts"]["class"] |= {"linear": unscored, "metric": "r2"}
    page = write_report(write_codes(tmp_path, record), CODES_PAGE).read_text()
    assert "Not measured: class, R²: linear (one value)." in page and "the best time, t = 0.2" in page
    (setting,) = group({"one": Workdir(tmp_path)})
    assert "| drl | — | 0.900 (± 0.010) |" in table_of(setting, READOUTS)


def test_a_folder_without_a_record_says_so(tmp_path):
    write_codes(tmp_path, {"codes": {"drl": {}}})
    page = write_report(tmp_path, CODES_PAGE).read_text()
    assert "There is no readable codes.json yet" in page and "--jobs=measure" in page


def test_seeds_of_a_setting_are_averaged(tmp_path):
    runs = {f"digits,seed={seed}": write_codes(tmp_path / str(seed), codes_of(seed, 0.01 * seed)) for seed in range(3)}
    (setting,) = group({name: Workdir(path) for name, path in runs.items()})
    assert setting.name == "digits" and setting.seeds == [0, 1, 2]
    rows = [line.split(" | ") for line in table_of(setting, READOUTS).splitlines()[2:]]
    assert rows[0][:2] == ["| drl", "0.9100 ± 0.0058"] and rows[2][:2] == ["| pixels", "0.95"]
    text = write_codes_sweep(tmp_path / "sweep", runs, {"other": "failed"})
    # above the vae_vdm 0.1 at each seed; D + R above no code 0.5, 0.51, 0.52: 0.51 ± 4.30 x 0.01 / √3
    assert "Above vae vdm" in text and "| drl | 0.10 [0.10, 0.10] |" in text
    assert "0.510 [0.485, 0.535] |" in text and "| drl | — | 70 |" in text
    assert "## digits, 3 seeds" in text and "Missing, failed: other" in text
    assert set(json.loads((tmp_path / "sweep" / "sweep.json").read_text())["runs"]) == set(runs)


def test_a_single_run_has_its_own_errors(tmp_path):
    (setting,) = group({"one": Workdir(write_codes(tmp_path, codes_of()))})
    assert "| drl | 0.900 (± 0.010) |" in table_of(setting, READOUTS)
    assert "| pixels | 1.900 (± 0.010) | 1.900 (± 0.010) | — | — | — |" in table_of(setting, INFORMATION)
    assert write_codes_sweep(tmp_path, {}, {}) == "No member is measured yet.\n"


@pytest.mark.parametrize("settings", [{"variants": {}}, {"variants": {"drl": "digits:none"}}], ids=str)
def test_other_settings_are_other_tables(tmp_path, settings):
    other = codes_of() | {"settings": {"codes": {"seed": 0}} | settings}
    runs = {"a": write_codes(tmp_path / "a", codes_of()), "b": write_codes(tmp_path / "b", other)}
    assert len(group({name: Workdir(path) for name, path in runs.items()})) == 2


def test_times_are_drawn_and_compared_with_codes_of_the_same_sizes(tmp_path):
    (timed,) = timed_codes(with_times(codes_of()))
    assert timed.times == [0.2, 0.8] and len(timed.untrained) == 2
    assert set(timed.others) == {"timed@all", "timed@all_pca_16", "wide", "drl", "vae_vdm"}
    page = write_report(write_codes(tmp_path, with_times(codes_of())), CODES_PAGE).read_text()
    assert "the best time, t = 0.8" in page and (tmp_path / "report" / "times_timed_mlp.png").is_file()
    for part in (record := with_times(codes_of()))["codes"].values():
        part["readouts"] = {}
    page = write_report(write_codes(tmp_path, record | {"factors": {}}), CODES_PAGE).read_text()
    assert "There is no readout of an encoder E(x, t)." in page
    axes = by_time(timed, ["class"], "linear", "linear").axes[0]
    assert [line.get_ydata().tolist() for line in axes.get_lines()] == [[0.6, 0.9], [0.5, 0.4]]


def test_what_codes_decode_to_is_drawn(tmp_path):
    record, arrays = decoded_of()
    np.savez(write_codes(tmp_path, record, "decoded") / "decoded.npz", **arrays)
    page = write_report(tmp_path, CODES_PAGE).read_text()
    assert "Of 300 test images" in page and "inner points of 20 lines" in page
    made = {path.name for path in (tmp_path / "report").iterdir()}
    assert {"reconstructions.png", "interpolations_drl.png", "interpolations_vae_vdm.png"} <= made
    assert "SSIM" in page and "test images themselves" in page


def test_the_worth_of_codes_by_log_snr(tmp_path):
    page = write_report(write_codes(tmp_path, worth_of(), "worth"), CODES_PAGE).read_text()
    assert "ln N of 1,297 distinct training images: 7.17 nats" in page and "100 of each" in page
    assert "error is below that of unconditional" in page and "†" not in page
    (record := worth_of())["runs"]["drl"]["of_time"] = True
    page = write_report(write_codes(tmp_path, record, "worth"), CODES_PAGE).read_text()
    assert page.count("†") == 2 and "† No information: the codes of different t differ" in page
    titles = ("What a code can help:", "What each code helps:", "Ceiling − error with the code:")
    assert all(title in page for title in titles)
    record = worth_of() | {"ceiling": None, "num_distinct": None}
    page = write_report(write_codes(tmp_path, record, "worth"), CODES_PAGE).read_text()
    assert "distinct training images" not in page
    assert [title in page for title in titles] == [False, True, False], "of the panels that are there"
    assert middle(np.array([4.0, 0.0, -4.0]), [0.0, 1.5, 0.0]) == 0
    assert significance(worth_of()["against_reference"]["drl"]) == pytest.approx(150)
    record = worth_of() | {"ceiling": None, "within": {}, "runs": {}, "reference": None, "against_reference": {}}
    page = write_report(write_codes(tmp_path, record, "worth"), CODES_PAGE).read_text()
    assert "There is no readable worth.json" not in page
