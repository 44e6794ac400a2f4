"""The figures and rows of timestep probes: what is below zero is seen, errors are told, older records are read."""

import numpy as np

from vdm_jax.report.sections.probe import LOWEST, _probe_row, probe_figure

TIMES = np.array([0.0, 500.0, 1000.0])


def feature(r2, **more):
    curve = {"r2": r2, "r2_standard_error": [0.01] * 3}
    return {"probe": curve, "exact": curve | {"r2": [1.0, 0.5, 0.0]}, "windows": {"95%": 10.0, "50%": None}} | more


def axes_of(r2):
    return probe_figure("x", feature(r2), TIMES).axes[0]


def test_an_r2_below_zero_is_seen():
    assert axes_of([1.0, 0.5, 0.0]).get_ylim()[0] == -0.03
    axes = axes_of([1.0, -0.4, 0.0])
    assert axes.get_ylim()[0] < -0.4 and axes.get_legend_handles_labels()[1] == ["exact", "trained probe"]
    axes = axes_of([1.0, -7.5, 0.0])
    assert LOWEST - 0.1 < axes.get_ylim()[0] < LOWEST
    assert axes.get_legend_handles_labels()[1] == ["exact", "trained probe, down to -7.5"]


def test_windows_have_their_errors_where_these_are_known():
    gaps = {"exact_minus_probe": {"r2": [0.0, 0.1, 0.0]}, "falls_short": [False, True, False]}
    windows = {"exact_windows": {"95%": 12.0, "50%": 70.0}}
    row = _probe_row("x", feature([1.0, 0.4, 0.0], **gaps, **windows), [0, 500, 1000])
    assert row == ["x", "10", "never", "12", "70", "0.100", "500"]
    errors = {"windows_standard_error": {"95%": 1.25, "50%": None}}
    errors["exact_windows_standard_error"] = {"95%": 0.5, "50%": None}
    row = _probe_row("x", feature([1.0, 0.4, 0.0], **gaps, **windows, **errors), [0, 500, 1000])
    assert row == ["x", "10 ± 1.2", "never", "12 ± 0.5", "70", "0.100", "500"]
