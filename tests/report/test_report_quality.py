"""The section on ways to sample: its groups, its tables, and records that cannot be read."""

import json

import pytest

from vdm_jax.report.compare.latent_sweep import models_table
from vdm_jax.report.compare.study import Setting
from vdm_jax.report.page import write_report
from vdm_jax.report.primitives.quality_figures import KL, best_of, chosen, lines_of, score_figure
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.sections.latent.quality import LATENT_QUALITY


def row(sampler, steps, times="time", start="noise", evaluations=None, share=0.1):
    names = dict(sampler=sampler, num_steps=steps, times=times, start=start, evaluations=evaluations or steps)
    score = {"value": share, "standard_error": 0.03}
    kinds = {"kl_nats": {"value": 2 * share, "standard_error": None}, "kl_expected_nats": score}
    return names | {"first_timestep": 1000.0, "not_a_sprite": score, "frechet": score, "modes": {"kind": kinds}}


ROWS = [
    row("ddim", 50),
    row("ddim", 10, share=0.3),
    row("ancestral", 50),
    row("ancestral", 50, "information"),
    row("ancestral", 50, start="mixture", evaluations=40, share=0.14),
    row("ancestral", 20, "cosine", "mixture"),
]
RECORD = {
    "samplings": {str(i): each for i, each in enumerate(ROWS)},
    "codes": row("", 0) | {"not_a_sprite": {"value": 0.05, "standard_error": 0.01}},
    "edge": {"timestep": 828.0, "logsnr": -6.94},
    "num_images": 2000,
    "num_seeds": 3,
    "checkpoint_step": 9000,
    "weights": "ema",
}


def test_rows_are_grouped_by_what_varies():
    assert chosen(ROWS, "times") == [ROWS[2], ROWS[3]] and chosen(ROWS, "start") == [ROWS[2], ROWS[4]]
    lines = lines_of(ROWS[:3], ("sampler",))
    assert {name: [each["num_steps"] for each in own] for name, own in lines.items()} == {
        "ddim": [10, 50],
        "ancestral": [50],
    }
    axes = score_figure("no sprite", lines, RECORD["codes"]).axes[0]
    assert axes.get_lines()[0].get_ydata().tolist() == [0.3, 0.1] and axes.get_lines()[0].get_xdata().tolist() == [
        10,
        50,
    ]


def test_a_perfect_model_has_the_scores_of_codes_and_the_kl_of_as_many_images():
    assert best_of(("not_a_sprite",), ROWS, RECORD["codes"]) == (0.05, "latents of test images")
    assert best_of(("modes", "kind", KL), [row("ddim", 9, share=0.2)], RECORD["codes"])[0] == 0.2


def test_the_section_has_three_rows_of_figures_and_two_tables(tmp_path):
    (tmp_path / "quality.json").write_text(json.dumps(RECORD))
    page = write_report(tmp_path, (LATENT_QUALITY,)).read_text()
    assert page.count("<figure>") == 3 and page.count("<table>") == 2
    assert "step 9,000" in page and "timestep 828, log SNR -6.94" in page and "10 (20%)" in page
    assert "0.040 <span" in page.replace("0.040<span", "0.040 <span")  # 0.14 - 0.1 ± 0.03 √2
    assert {path.name for path in (tmp_path / "report").iterdir()} >= {f"quality_starts_{i}.png" for i in range(3)}


@pytest.mark.parametrize("lost", ["samplings", "codes", "num_seeds"])
def test_a_record_that_lacks_something_is_said_to_be_unreadable(tmp_path, lost):
    (tmp_path / "quality.json").write_text(json.dumps({name: RECORD[name] for name in RECORD if name != lost}))
    assert "There is no readable quality.json" in write_report(tmp_path, (LATENT_QUALITY,)).read_text()


def test_the_p_of_several_seeds_is_the_largest(tmp_path):
    for seed, p in enumerate((0.2, 0.04)):
        (tmp_path / str(seed)).mkdir()
        numbers = {"bound_nats": 3.0 + seed, "modes": {"kind": {"p_value": p}}}
        (tmp_path / str(seed) / "evaluate.json").write_text(json.dumps({"table": {"prior": numbers}}))
    setting = Setting("one", tuple(Workdir(tmp_path / str(seed)) for seed in range(2)))
    *_, row = models_table([setting]).splitlines()
    assert row == "| one | 2 | N(0, I) | 3.50 ± 0.50 | 0.2 |"
