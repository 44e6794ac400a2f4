"""Verdicts, tables and the figure of results/collapse, from made-up records: never more than the records say."""

import json

import numpy as np
import pytest
from collapse_records import HALF, write_run, write_setting

from vdm_jax.report.published.collapse import answers, blog, causes, claims, optional, studies
from vdm_jax.report.published.collapse.differences import difference_figure
from vdm_jax.report.published.collapse.frechet_draws import frechet_draws
from vdm_jax.report.published.collapse.headline import headline
from vdm_jax.report.published.collapse.studies import (
    BETA1,
    CONTROL,
    DECODERS,
    DIGITS,
    LONGER,
    MODES,
    MODES_14,
    NONE,
    TARGET,
)

STUDY = DECODERS[0]
VERDICTS = {
    "nothing": ({}, answers.NOT_RUN),
    "above": ({TARGET: {"gap": 1.0, "information": 5.0}}, answers.NO),
    "below": ({TARGET: {"gap": -1.0, "information": 5.0}}, answers.YES),
    "one of two": ({TARGET: {"gap": 1.0, "information": 5.0}, BETA1: {"gap": -1.0, "information": 3.0}}, answers.YES),
    "interval over seeds": ({TARGET: {"gap": 0.1, "information": 5.0}}, answers.OPEN),
    "interval over images": ({TARGET: {"gap": 1.0, "information": 5.0, "spread": 4.0}}, answers.OPEN),
    "one seed": ({TARGET: {"gap": -1.0, "information": 5.0, "seeds": (1,)}}, answers.OPEN),
    "two seeds": ({TARGET: {"gap": 1.0, "information": 5.0, "seeds": (0, 2)}}, answers.OPEN),
    "an empty code": ({BETA1: {"gap": -1.0, "information": 2.2}}, answers.EMPTY),
    "a control": ({CONTROL: {"gap": -1.0, "information": 5.0}}, answers.NOT_RUN),
    "one seed beside three": (
        {TARGET: {"gap": 1.0, "information": 5.0}, BETA1: {"gap": -1.0, "information": 3.0, "seeds": (0,)}},
        answers.NO,
    ),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_a_verdict_takes_three_seeds_and_intervals_without_zero(name, tmp_path):
    settings, expected = VERDICTS[name]
    write_setting(tmp_path, STUDY, NONE)
    for stem, numbers in settings.items():
        write_setting(tmp_path, STUDY, stem, **numbers)
    answer = answers.answer_of(DIGITS, tmp_path)
    assert answer.verdict == expected
    assert expected == answers.NOT_RUN or answers.sentence(answer).startswith(f"**{DIGITS}: {expected}")


def test_a_sentence_has_the_number_its_interval_and_how_many_there_were(tmp_path):
    write_setting(tmp_path, STUDY, NONE)
    write_setting(tmp_path, STUDY, TARGET, 1.0, information=5.0)
    write_setting(tmp_path, STUDY, BETA1, 2.0, information=3.0)
    sentence = answers.sentence(answers.answer_of(DIGITS, tmp_path))
    assert "learned prior (1x8) differs from no code by 1.00 nats [0.75, 1.25] in D + R (3 seeds; over test" in sentence
    assert sentence.endswith("the lowest of 2 settings with an informative code.")
    assert pytest.approx(0.248, abs=1e-3) == HALF
    row = answers.answers_table(tmp_path).splitlines()[2]
    assert "| 1.00 [0.75, 1.25] | [1.00, 1.00] | 5.00 | 2 / 2 | — |" in row


def test_two_seeds_are_listed_and_not_averaged(tmp_path):
    """They may lie on both sides of 0, with test images that agree on the mean."""
    write_setting(tmp_path, STUDY, NONE, seeds=(0, 1))
    for seed, gap in ((0, -7.7), (1, 8.8)):
        write_run(tmp_path, STUDY, TARGET, seed, gap, information=5.0)
        write_run(tmp_path, STUDY, BETA1, seed, -gap)
    sentence = answers.sentence(answers.answer_of(DIGITS, tmp_path))
    assert sentence.endswith("differs from no code by -7.8 and 8.8 nats in D + R (2 seeds).")
    row = answers.answers_table(tmp_path).splitlines()[2]
    assert "| -7.8, 8.8 (2 seeds) | — | 5.00 | 1 / 2 | 7.6, -8.8 (2 seeds), beta 1 (1x8) |" in row


def test_a_setting_of_two_studies_counts_once_the_later_one(tmp_path):
    for study, gap in ((MODES, 1.0), (DECODERS[5], 2.0)):
        write_setting(tmp_path, study, NONE)
        write_setting(tmp_path, study, TARGET, gap, information=5.0)
    answer = answers.answer_of(DIGITS, tmp_path)
    assert len(answer.informative) == 1 and float(answer.best.over_seeds.mean) == pytest.approx(2.0)


def test_without_records_nothing_is_claimed(tmp_path):
    assert headline(tmp_path).startswith("1. **Not run** (") and len(headline(tmp_path).splitlines()) == 1
    assert headline(tmp_path).count(";") == len(studies.LABELS) + 4 + 4 - 1  # data sets, causes, claims of the blog
    assert len(claims.causes(tmp_path).splitlines()) == len(blog.blog(tmp_path).splitlines()) == 2, "no row"
    assert {make(tmp_path) for make in optional.SECTIONS.values()} == {""}
    assert frechet_draws(LONGER, tmp_path) == "not run" and len(difference_figure(tmp_path).axes) == 1
    tables = (causes.decoder_table(DECODERS, tmp_path), causes.longer_table(tmp_path))
    assert {*tables, causes.sprite_table(studies.SPRITES, tmp_path), answers.answers_table(tmp_path)} == {"not run"}


def verdicts(folder):
    """First word of the text and the data -> verdict."""
    return {(claim.text.split()[1], claim.data.split(",")[0]): claim for claim in claims.cause_claims(folder)}


def test_what_a_useless_input_and_a_rate_cost(tmp_path):
    small = studies.SPRITES
    for study, above in ((DECODERS[5], (0.5, 2.0)), (small, (-0.5, -0.5))):
        write_setting(tmp_path, study, NONE)
        write_setting(tmp_path, study, CONTROL, above[0])
        write_setting(tmp_path, study, TARGET, above[1])
    found = verdicts(tmp_path)
    useless, rate = found["a", DIGITS], found["rate", DIGITS]
    assert (useless.verdict, rate.verdict) == ("confirmed", "confirmed")
    assert (
        useless.here == "control code less no code: 0.50 [0.25, 0.75]; over images [0.50, 0.50]"
        and useless.data.endswith("2x32")
    )
    assert "rate target 10, learned prior less control code: 1.50" in rate.here
    assert found["a", "768 sprites"].verdict == "refuted"
    assert found["rate", "768 sprites"].verdict == "not decided: an interval includes 0"
    assert "rate target 4, learned prior" in found["rate", "768 sprites"].here
    *_, last = headline(tmp_path).splitlines()
    assert "confirmed (8x8 digits, 2x32); refuted (768 sprites" in headline(tmp_path)
    assert 'MNIST 14x14; 9,216 sprites; MNIST 28x28; "the decoder was too' in last and "useless" not in last
    rows = claims.causes(tmp_path).splitlines()[2:]
    assert sum("useless" in row for row in rows) == 2  # of the data sets that were run


@pytest.mark.parametrize(
    ("small", "large", "expected"),
    [(4.0, 0.0, "confirmed"), (1.0, 0.0, "in part: it keeps more"), (0.1, 0.1, "refuted"), (4.0, 4.0, "not decided")],
)
def test_the_decoder_was_too_powerful_where_a_smaller_one_keeps_a_code(small, large, expected, tmp_path):
    for study, rate in ((DECODERS[0], small), (DECODERS[-1], large)):
        for seed in range(3):
            write_run(tmp_path, study, BETA1, seed, encoder_kl_nats=rate + 0.01 * seed * (rate == small))
    assert verdicts(tmp_path)["decoder", DIGITS].verdict.startswith(expected)


@pytest.mark.parametrize(
    ("after", "expected"), [(0.0, "confirmed"), (1.0, "in part: the gap falls and stays above 0"), (3.0, "refuted")]
)
def test_a_gap_that_closes_with_training(after, expected, tmp_path):
    for study, gap in ((MODES_14, 2.0), (LONGER, after)):
        write_setting(tmp_path, study, NONE)
        for seed in range(3):
            write_run(tmp_path, study, TARGET, seed, gap + 0.02 * seed * (study is LONGER))
    assert verdicts(tmp_path)["training", "MNIST 14x14"].verdict == expected
    row = causes.longer_table(tmp_path).splitlines()[3]
    assert row.startswith("| rate target 10, learned prior |") and row.endswith("| 2.00, 2.00, 2.00 |")
    assert f"| 2.00 [1.75, 2.25]; over images [2.00, 2.00] | {after + 0.02:.2f} [" in row
    assert optional.SECTIONS["longer-14"](tmp_path).startswith("### Longer training\n\nMNIST at 14x14")


def test_tables_of_decoders_and_sprites(tmp_path):
    for study in (DECODERS[0], studies.SPRITES):
        write_setting(tmp_path, study, NONE)
        write_setting(tmp_path, study, TARGET, 2.0, spread=1.0)
    write_run(tmp_path, DECODERS[1], NONE, 0)
    write_run(tmp_path, DECODERS[1], TARGET, 0, 1.1)
    head, _, row, other = causes.decoder_table(DECODERS, tmp_path).splitlines()
    cells = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert cells["rate target 10, learned prior, above no code"] == "2.00 [1.75, 2.25]; over images [1.47, 2.53]"
    assert cells["control above no code"] == "not run" and "| 1.0 (1 seed) |" in other and "| 80 |" in other
    _, _, _, target = causes.sprite_table(studies.SPRITES, tmp_path).splitlines()
    assert target.startswith(
        "| rate target 4, learned prior | 3 seeds | 85.0 ± 1.8 | 2.00 [1.75, 2.25]; over images [1.47, 2.53] |"
    )
    assert target.count("| 2.50 / 0.75 / 0.50 ") == 5


def test_the_blogs_claims_by_their_intervals(tmp_path):
    study = studies.MODES
    write_setting(tmp_path, study, NONE)
    gains = {TARGET: 0.3, "none": 0.4, "beta1e4": -0.3, BETA1: 0.0}
    for stem, gain in gains.items():
        for seed in range(3):
            read = {"linear_probe_accuracy": 0.5 + gain + 0.01 * seed, "linear_probe_accuracy_untrained": 0.51}
            read["linear_probe_accuracy_pca"] = 0.81 if stem == TARGET else 0.8
            write_run(tmp_path, study, stem, seed, saved=2.0, **read)
    rows = {row.split(" | ")[0].strip("| "): row for row in blog.blog(tmp_path).splitlines() if "8x8 digits" in row}
    first, second, only = rows.values()
    assert (
        "untrained encoder: rate target 10, learned prior; no KL. Below it: beta 10,000. Not decided: beta 1." in first
    )
    assert "Above 16 principal components: no KL." in first
    assert first.endswith("| depends on the setting of the rate |")
    assert only.endswith("| holds at beta 10,000, false with rate target 10, learned prior |")
    assert "saved below log SNR 0.0 less above it, nats: 7.00" in second
    assert second.endswith("| in part: more in the noisier half; not decided at every timestep |")


def test_the_figure_has_full_marks_of_three_seeds_and_open_ones_of_fewer(tmp_path):
    for study, seeds in ((DECODERS[0], (0, 1, 2)), (DECODERS[3], (1,))):
        write_setting(tmp_path, study, NONE, seeds=seeds)
        write_setting(tmp_path, study, CONTROL, 1.5, seeds=seeds, spread=1.0)
    (axes,) = difference_figure(tmp_path).axes
    bars = {line.get_markerfacecolor() == "white": (line, half) for line, _, (half,) in axes.containers}
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1x8", "2x8"] and set(bars) == {True, False}
    for is_open, expected in ((False, HALF), (True, 2.306 * np.linspace(-1, 1, 9).std(ddof=1) / 3)):
        line, half = bars[is_open]
        assert line.get_ydata()[0] == pytest.approx(1.5)
        assert np.ptp(half.get_segments()[0][:, 1]) / 2 == pytest.approx(expected, rel=1e-3)


def test_distances_have_the_spread_over_trainings_and_over_draws(tmp_path):
    for stem, of_setting in ((NONE, 0.0), (CONTROL, 1.0)):
        for seed in range(3):
            run = write_run(tmp_path, LONGER, stem, seed)
            (run / "evaluation_seeds").mkdir()
            for draw, path in enumerate(("evaluate.json", "evaluation_seeds/1.json", "evaluation_seeds/2.json")):
                distance = 2.0 + of_setting * (1 + 0.1 * seed + 0.2 * draw)
                sampled = {"frechet": {"distance": distance, "num_images": 9}, "settings": {"evaluate": {"seed": draw}}}
                record = json.loads((run / "evaluate.json").read_text()) | sampled
                (run / path).write_text(json.dumps(record))
    *_, none, control = frechet_draws(LONGER, tmp_path).splitlines()
    assert none == "| no code | 2.000 ± 0.000 ± 0.000 | — | — | — | 3 x 3, 9 |"
    assert "| 3.300 ± 0.058 ± 0.115 | 1.300 ± 0.058 ± 0.115 | — | — | 3 x 3, 9 |" in control
