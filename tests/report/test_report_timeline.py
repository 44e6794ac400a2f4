"""The figure of all windows: order, length and both axes are those of the record; what is never lost has no end."""

import json

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer

from vdm_jax.report.primitives.markup import Gallery
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.sections.timeline import duration, in_order, timeline_figure, timeline_section

WINDOWS = {
    "late": {"95%": 400.0, "50%": 700.0, "5%": 800.0},
    "kept": {"95%": 300.0, "50%": None, "5%": None},
    "early": {"95%": 100.0, "50%": 200.0, "5%": 300.0},
    "unsure": {"95%": None, "50%": 450.0, "5%": 650.0},
    "safe": {"95%": None, "50%": None, "5%": None},
}
KNOWN = {name: {"windows": windows, "windows_standard_error": {"5%": 3.0}} for name, windows in WINDOWS.items()}
TIMES = np.array([0.0, 500.0, 1000.0])
ABAR = 1 / (1 + np.exp([-20.0, 0.0, 10.0]))


def test_features_come_in_the_order_in_which_they_go():
    assert in_order(KNOWN) == ["early", "unsure", "late", "kept", "safe"]
    assert duration(WINDOWS["unsure"]) is None
    assert duration(WINDOWS["late"]) == 400 and duration(WINDOWS["kept"]) is None


def test_bars_lie_where_the_windows_are():
    drawn = timeline_figure({"exact": KNOWN, "probes": {"early": KNOWN["late"]}}, TIMES, ABAR, {"speciation": 600.0})
    axes = drawn.axes[0]
    bars = [(bar.get_x(), bar.get_x() + bar.get_width(), round(bar.get_y())) for bar in axes.patches]
    assert bars == [(100, 300, 0), (0, 650, 1), (400, 800, 2), (300, 1000, 3), (400, 800, 0)]
    assert axes.get_legend_handles_labels()[1] == ["speciation (600)", "exact", "probes"]
    whiskers = [found for found in axes.containers if isinstance(found, ErrorbarContainer)]
    assert sorted(np.mean(found.lines[0].get_xdata()) for found in whiskers) == [300, 650, 800, 800], (
        "ends that have errors"
    )
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["early", "unsure", "late", "kept", "safe"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the first to go is on top"


def test_log_snr_stands_above_its_timesteps():
    axes = timeline_figure({"exact": KNOWN}, TIMES, ABAR, {"speciation": None}).axes[0]
    (above,) = axes.child_axes
    labels = dict(zip(above.get_xticks(), (tick.get_text() for tick in above.get_xticklabels()), strict=True))
    assert labels[0] == "∞" and labels[1000] == "-10.0" and float(labels[600]) == pytest.approx(-2)
    assert labels[200] == "", "nothing is made up"


@pytest.mark.slow
def test_the_section_has_whatever_was_measured(tmp_path):
    gallery = Gallery(tmp_path / "report")
    assert "--jobs=exact" in timeline_section(Workdir(tmp_path), gallery)
    features = {name: {"windows": windows} for name, windows in WINDOWS.items()}  # an older record has no errors
    exact = {"timesteps": TIMES.tolist(), "abar": ABAR.tolist(), "features": KNOWN}
    (tmp_path / "exact.json").write_text(json.dumps(exact))
    (tmp_path / "chains.json").write_text(json.dumps({"samplers": {"ddim": {"features": features}}}))
    html = timeline_section(Workdir(tmp_path), gallery)
    assert html.index(">early<") < html.index(">late<") < html.index(">kept<")
    assert '<td class="number">400</td></tr>' in html and (tmp_path / "report" / "timeline.png").exists()
    for damaged in ({"samplers": ["ddim"]}, {"samplers": {"ddim": {"features": {"late": 3}}}}, [3]):
        (tmp_path / "chains.json").write_text(json.dumps(damaged))
        assert timeline_section(Workdir(tmp_path), gallery).count("<tr>") == 6, (
            "the exact windows are told all the same"
        )
    (tmp_path / "exact.json").write_text(json.dumps(exact | {"features": 3}))
    assert "--jobs=exact" in timeline_section(Workdir(tmp_path), gallery)
