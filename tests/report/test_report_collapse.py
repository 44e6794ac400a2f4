"""Tables of decoders, longer trainings and sprites from records whose differences are known."""

import json

import numpy as np
import pytest

from vdm_jax.report.published.collapse.causes import (
    COMPARED,
    CORNERS,
    NONE,
    decoder_figure,
    decoder_table,
    longer_table,
    sprite_table,
)

ABOVE = {"unconditional": 0.0, "control": 1.0, "beta1": 0.5, "learned_prior": 0.5, "target_learned_prior": 2.0}


def write(folder, stem, seed, bound, **numbers):
    """A run whose test images have the bounds `bound` ± 1."""
    run = folder / f"{stem}-{seed}"
    run.mkdir(parents=True)
    record = {"bound_nats": bound, "encoder_kl_nats": 10.0, "linear_probe_accuracy": 0.9, "mi_lower_nats": 4.0}
    record |= {"entropy_nats": 6.5, "bound_minus_entropy_nats": bound - 6.5} | numbers
    record["readout"] = {name: {"linear": {"value": 0.5}} for name in ("shape", "scale", "orientation", "x", "y")}
    (run / "evaluate.json").write_text(json.dumps(record))
    (run / "config.json").write_text(json.dumps({"train": {"seed": seed}}))
    np.savez(run / "evaluate_images.npz", bound_nats=np.float32([bound - 1, bound, bound + 1]))
    rows = [{"step": step, "split": "validation", "bound": 100.0 - step / 10} for step in range(10, 101, 10)]
    (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))


def bounds(seed, above):
    """The differences of the seeds 0, 1, 2 are `above` times 0.5, 1, 1.5: an interval of ± 4.3027 · 0.5/√3 times it."""
    return 80.0 + 3 * seed + above * (1 + seed) / 2


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    for seed in range(3):
        for stem, above in ABOVE.items():
            for size in CORNERS:
                write(folder / "sizes", f"{size}-{stem}", seed, bounds(seed, above))
            write(folder / "one", stem, seed, bounds(seed, above))
    return folder


def test_a_row_has_the_paired_differences_of_its_decoder(records):
    head, _, row, other = decoder_table("sizes", CORNERS, records).splitlines()
    assert row.startswith("| 1x8 |") and row.removeprefix("| 1x8 |") == other.removeprefix("| 4x32 |")
    cells = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert cells["control above no code, nats [95% interval]"] == "1.0 [-0.2, 2.2]"
    assert cells["beta 1 above no code, nats [95% interval]"] == "0.50 [-0.12, 1.12]"
    assert cells["rate target 10, learned prior, above no code, nats [95% interval]"] == "2.0 [-0.5, 4.5]"
    assert cells["rate target above the control, nats [95% interval]"] == "1.0 [-0.2, 2.2]"
    assert head.endswith("± over test images |") and row.endswith("| 0.00 |")


def test_the_figure_has_a_point_for_each_setting_of_each_decoder(records):
    (axes,) = decoder_figure("sizes", "decoders", CORNERS, records).axes
    points = [line for line in axes.get_lines() if len(line.get_xdata()) == len(CORNERS)]
    heights = {tuple(np.round(np.float64(line.get_ydata()), 3)) for line in points}
    assert {(ABOVE[stem],) * 2 for stem in COMPARED} <= heights and NONE not in COMPARED


def test_a_longer_training_says_how_far_it_still_falls(records):
    none, control, target = longer_table("one", records).splitlines()[2:]
    assert none.startswith("| no code | 83.0") and none.endswith("| 2.00, 2.00, 2.00 |")
    assert "| 1.0 [-0.2, 2.2] | 0.00 |" in control and "| 2.0 [-0.5, 4.5] |" in target


@pytest.mark.parametrize(("seeds", "shown"), [((0, 1, 2), "2.0 [-0.5, 4.5]"), ((1,), "2.00")])
def test_sprites_are_beside_their_entropy(records, seeds, shown):
    head, _, *rows = sprite_table("one", seeds, records).splitlines()
    assert "D + R above the entropy of 6.50 nats" in head and "shape, linear, accuracy" in head
    assert f"| {shown} |" in rows[-1] and rows[-1].count("| 0.5") == 5
