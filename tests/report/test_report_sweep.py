"""What a sweep ends with: sweep.md, sweep.json, sweep.png."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest

from vdm_jax.report.compare.study import read_settings
from vdm_jax.report.compare.sweep import figure, write_sweep
from vdm_jax.report.primitives.plane import rate_distortion_plane

PROVENANCE = {"commit": "922d38a0f5b1", "device": "2 x cpu", "versions": {"jax": "0.10.2"}}


@pytest.fixture
def runs(tmp_path):
    """Two seeds with a code, one without."""
    values = {
        "target,seed=0": {"distortion_nats": 70.0, "encoder_kl_nats": 10.0, "bound_nats": 80.0},
        "target,seed=1": {"distortion_nats": 72.0, "encoder_kl_nats": 11.0, "bound_nats": 83.0},
        "unconditional": {
            "distortion_nats": 79.0, "distortion_nats_standard_error": 0.5, "encoder_kl_nats": None, "bound_nats": 79.0,
            "reasons": {"encoder_kl_nats": "the model is unconditional"},
        },
    }  # fmt: skip
    for name, numbers in values.items():
        (tmp_path / name).mkdir()
        config = {"name": name.partition(",")[0], "train": {"seed": int(name.endswith("1"))}}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
        (tmp_path / name / "evaluate.json").write_text(json.dumps(numbers | {"provenance": PROVENANCE}))
    return {name: tmp_path / name for name in values}


def test_one_table_of_all(runs, tmp_path):
    text = write_sweep(tmp_path / "out", runs, {"beta1": "failed", "warmup": "not evaluated yet", "none": "failed"})
    assert text.splitlines()[:4] == [
        "| setting | seeds | D + R, nats | D, nats | R, nats |",
        "| --- | --- | --- | --- | --- |",
        "| target | 2 | 81.5 ± 1.5 | 71.0 ± 1.0 | 10.50 ± 0.50 |",
        "| unconditional | 1 | 79 | 79.00 (± 0.50) | — |",
    ]
    assert "± one standard error over seeds; (± one standard error over test images) of a single seed." in text
    assert "commit 922d38a0f5b1; device 2 x cpu; jax 0.10.2" in text
    assert "Missing, failed: beta1 none\n" in text and "Missing, not evaluated yet: warmup\n" in text
    assert (tmp_path / "out" / "sweep.md").read_text() == f"{text}\n![rate and distortion](sweep.png)\n"
    assert plt.imread(tmp_path / "out" / "sweep.png").std() > 0


def test_every_number_with_its_error_and_origin(runs, tmp_path):
    write_sweep(tmp_path, runs, {"beta1": "failed"})
    told = json.loads((tmp_path / "sweep.json").read_text())
    target = told["settings"]["target"]
    assert (target["runs"], target["seeds"]) == (["target,seed=0", "target,seed=1"], [0, 1])
    assert target["numbers"]["distortion_nats"] == {"mean": 71.0, "standard_error": 1.0, "over": "seeds"}
    alone = told["settings"]["unconditional"]["numbers"]
    assert alone["distortion_nats"] == {"mean": 79.0, "standard_error": 0.5, "over": "images"}
    assert alone["bound_nats"]["standard_error"] is None and "encoder_kl_nats" not in alone
    assert told["missing"] == {"beta1": "failed"} and set(told["provenance"]) == {"commit", "time"}
    for name, path in runs.items():
        assert told["runs"][name] == json.loads((path / "evaluate.json").read_text())


def test_nothing_evaluated_yet(tmp_path):
    text = write_sweep(tmp_path, {}, {"a": "stopped"})
    assert text.startswith("No member is evaluated yet.\n") and "Missing, stopped: a\n" in text
    assert json.loads((tmp_path / "sweep.json").read_text())["settings"] == {}
    assert (tmp_path / "sweep.png").exists()


def test_what_was_best_at_its_last_validation_is_not_shown_to_have_converged(runs, tmp_path):
    scores = {"target": (3.0, 2.0), "unconditional": (2.0, 3.0)}
    for path in runs.values():
        of_run = scores[json.loads((path / "config.json").read_text())["name"]]
        rows = [{"step": 100 * (i + 1), "split": "validation", "score": score} for i, score in enumerate(of_run)]
        (path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    text = write_sweep(tmp_path, runs, {})
    assert "Not shown to have converged, as the last validation is the best one: target (200 updates).\n" in text


def marks(drawn) -> dict[str, tuple[tuple[float, float], list[np.ndarray]]]:
    """Label -> (where the mark stands, the segments of its bars)."""
    found = {}
    for container in drawn.axes[0].containers:
        line, _, bars = container
        segments = [segment for bar in bars for segment in bar.get_segments()]
        found[container.get_label()] = (line.get_xdata()[0], line.get_ydata()[0]), segments
    return found


def test_a_mark_a_setting_with_its_errors(runs):
    found = marks(figure(read_settings(runs.values())))
    assert found["target"][0] == (10.5, 71.0) and found["unconditional"][0] == (0.0, 79.0)
    across, up = found["target"][1]
    np.testing.assert_allclose(across, [[10.0, 71.0], [11.0, 71.0]])
    np.testing.assert_allclose(up, [[10.5, 70.0], [10.5, 72.0]])
    np.testing.assert_allclose(found["unconditional"][1][1], [[0.0, 78.5], [0.0, 79.5]])


def test_the_legend_says_what_the_bars_are(runs):
    def title(names):
        return figure(read_settings(runs[name] for name in names)).legends[0].get_title().get_text()

    assert title(runs) == "± one standard error\nover seeds or test images"
    assert title(["unconditional"]) == "± one standard error\nover test images"


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 45])
def test_lines_of_equal_bound_and_marks_of_their_own(n):
    rate, distortion, none = np.linspace(0, 20, n), np.linspace(90, 60, n), np.full(n, np.nan)
    drawn = rate_distortion_plane([f"setting {i}" for i in range(n)], rate, distortion, none, none, errors="none")
    lines = [line for line in drawn.axes[0].lines if line.get_linestyle() == ":"]
    assert lines
    for line in lines:
        np.testing.assert_allclose(np.ptp(line.get_xdata() + line.get_ydata()), 0, atol=1e-9)
    looks = {(c[0].get_color(), c[0].get_marker()) for c in drawn.axes[0].containers}
    assert len(looks) == n
    drawn.canvas.draw()
