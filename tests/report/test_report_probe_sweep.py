"""What a sweep of timestep probes is drawn over."""

import json

import numpy as np

from vdm_jax.report.compare.probe_sweep import LOGSNR, TIMESTEP, curves_figure
from vdm_jax.report.primitives.workdir import Workdir


def test_over_log_snr_schedules_are_one_curve(tmp_path):
    """R² = abar exactly, at timesteps that two schedules reach other noise at."""
    abar = {"early": [0.9, 0.2, 0.01], "late": [0.99, 0.5, 0.05]}
    runs = {}
    for name, levels in abar.items():
        record = {"timesteps": [0, 500, 1000], "abar": levels, "features": {"x": {"exact": {"r2": levels}}}}
        (tmp_path / name).mkdir()
        (tmp_path / name / "exact.json").write_text(json.dumps(record))
        runs[name] = Workdir(tmp_path / name)
    dashed = [line for line in curves_figure("x", runs, TIMESTEP).axes[0].lines if line.get_linestyle() == "--"]
    assert [line.get_xdata().tolist() for line in dashed] == [[0, 500, 1000]] * 2
    axes = curves_figure("x", runs, LOGSNR).axes[0]
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert len(dashed) == 2 and axes.get_xlim()[0] > axes.get_xlim()[1]
    for line in dashed:
        np.testing.assert_allclose(1 / (1 + np.exp(-line.get_xdata())), line.get_ydata())
