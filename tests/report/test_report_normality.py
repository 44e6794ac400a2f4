"""The sections of normality and speciation, of whole, partial and damaged records."""

import numpy as np
import pytest

from vdm_jax.base.files import write_json
from vdm_jax.report.primitives.markup import Absent, Gallery
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.sections.normality import normality_section, speciation_section

STEPS = [0, 500, 1000]
TEST = {"rejected": [1.0, 0.5, 0.0], "p_median": [0.0, 1e-3, 0.5], "p_smallest": [0.0, 0.0, 0.1], "normal_from": 1000}
COUNTS = np.random.default_rng(0).integers(0, 20, (3, 10)).tolist()


def record():
    test = TEST | {"distance_median": [0.4, 0.01, -1e-5], "distance_largest": [0.5, 0.1, 0.0]}
    shown = {"component": [3, 4, 0], "variance": 0.5, "edges": np.linspace(-2, 2, 11).tolist(), "counts": COUNTS}
    return {
        "timesteps": STEPS,
        "num_images": 100,
        "num_values": 64,
        "num_varying": 32,
        "num_components": 8,
        "tests": {"dagostino": TEST, "energy": test, "standard": test | {"normal_from": None}},
        "histograms": [shown | {"p": {"energy": [0.0, 0.02, 0.6]}}],
        "features": {
            "shape": {"eigenvalue": 2.0, "timestep": 300.0, "unit_snr_timestep": 350.0},
            "x": {"eigenvalue": 0.5, "timestep": None, "unit_snr_timestep": 200.0},
        },
        "settings": {"normality": {"level": 0.05, "correction": "benjamini_hochberg"}},
    }


def exact():
    windows = {"shape": {"95%": 100.0, "50%": 400.0, "5%": 700.0}, "x": {"95%": None, "50%": None, "5%": 90.0}}
    features = {name: {"windows": own} for name, own in windows.items()}
    return {"timesteps": STEPS, "features": features, "speciation": {"abar": 0.1, "timestep": 612.0}}


def drawn(folder, section):
    return section(Workdir(folder), Gallery(folder / "report"))


def test_the_sections_show_tests_histograms_and_both_predictions(tmp_path):
    write_json(tmp_path / "normality.json", record())
    write_json(tmp_path / "exact.json", exact())
    html = drawn(tmp_path, normality_section)
    assert html.count("<img") == 3 and "24 tests" in html and "Benjamini-Hochberg" in html
    assert "<td>1000</td>" in html.replace(' class="number"', "") and "none" in html
    html = drawn(tmp_path, speciation_section)
    assert html.count("<img") == 1 and "612" in html and "350" in html and "never" in html


def test_no_histograms_and_no_speciation_of_the_whole_are_drawn_as_such(tmp_path):
    write_json(tmp_path / "normality.json", record() | {"histograms": []})
    write_json(tmp_path / "exact.json", exact() | {"speciation": {"abar": 2.0, "timestep": None}})
    assert drawn(tmp_path, normality_section).count("<img") == 2
    assert "does not exist" in drawn(tmp_path, speciation_section)


@pytest.mark.parametrize("damage", [{"tests": None}, {"timesteps": "no"}, {"num_images": None}, {"settings": {}}])
def test_a_damaged_record_is_missing(tmp_path, damage):
    assert isinstance(drawn(tmp_path, normality_section), Absent)
    write_json(tmp_path / "normality.json", record() | damage)
    assert isinstance(drawn(tmp_path, normality_section), Absent)
    assert isinstance(drawn(tmp_path, speciation_section), Absent), "there is no exact.json"
