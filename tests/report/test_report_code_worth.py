"""What a code is worth beside the same network without one."""

import json

import numpy as np
import pytest

from vdm_jax.report.compare.code_worth import baseline_of, main, worth_figure, worth_table, worths
from vdm_jax.report.compare.study import read_settings

LOGSNR = np.linspace(4.0, -4.0, 9)
UNET = {"size": "m"}


def write_run(folder, name, seed, own, bound, *, encoder="te", unet=None):
    run = folder / f"{name}-{seed}"
    run.mkdir()
    model = {"encoder": encoder, "unet": UNET if unet is None else unet}
    config = {"name": name, "data": {"name": "mnist"}, "model": model, "train": {"seed": seed}}
    (run / "config.json").write_text(json.dumps(config))
    evaluate = {"bound_nats": bound, "bound_nats_standard_error": 0.3, "num_dims": 4}
    (run / "evaluate.json").write_text(json.dumps(evaluate))
    np.savez(run / "evaluate_curves.npz", logsnr=LOGSNR, own=own, own_se=np.full(9, 0.1))
    return run


@pytest.fixture
def folders(tmp_path):
    """A code that saves 1 (seed 0) or 2 (seed 1) nats per log SNR below log SNR 0; the seeds' own levels cancel."""
    below = (LOGSNR < 0).astype(float)
    runs = []
    for seed, level in ((0, 5.0), (1, 9.0)):
        runs.append(write_run(tmp_path, "target", seed, level - (1 + seed) * below, 80.0 + 4 * seed))
        runs.append(write_run(tmp_path, "unconditional", seed, np.full(9, level), 79.0 + 2 * seed, encoder="none"))
    return runs


def test_differences_are_taken_seed_by_seed(folders):
    (worth,) = worths(read_settings(folders))
    assert worth.name == "target"
    np.testing.assert_allclose(worth.curve, 1.5 * (LOGSNR < 0))
    np.testing.assert_allclose(worth.error, 0.5 * (LOGSNR < 0), atol=1e-12)
    assert (worth.saved.mean, worth.saved.over) == (pytest.approx(1.5 * 3.5), "seeds")
    assert worth.saved.error == pytest.approx(3.5 / 2)
    assert (worth.excess.mean, worth.excess.error) == (pytest.approx(2.0), pytest.approx(1.0))


def test_three_seeds_have_intervals_over_seeds_and_over_images(tmp_path):
    """Costs of 1, 2, 3 nats: ± t(0.975, 2) / √3. Their mean over seeds is 1, 2, 3 for three images: the same."""
    runs = []
    for seed in range(3):
        for name, encoder, cost in (("target", "te", 1.0 + seed), ("unconditional", "none", 0.0)):
            runs.append(write_run(tmp_path, name, seed, np.ones(9), 80.0 + 4 * seed + cost, encoder=encoder))
            images = 80.0 + 4 * seed + cost + np.array([-1.0, 0, 1]) * bool(cost)
            np.savez(runs[-1] / "evaluate_images.npz", bound_nats=images)
    (worth,) = found = worths(read_settings(runs))
    assert (worth.over_seeds.over, worth.over_images.over) == ("seeds", "images")
    head, _, row = worth_table(found).splitlines()
    assert "| 95% t interval, paired seed by seed | 95% t interval, paired image by image |" in head
    assert row.startswith("| target | 2.00 ± 0.58 | [-0.5, 4.5] | [-0.5, 4.5] |")
    np.savez(runs[0] / "evaluate_images.npz", bound_nats=np.ones(2))
    (worth,) = worths(read_settings(runs))
    assert worth.over_images is None, "images of another number"


def test_any_setting_may_be_the_one_beside(folders, capsys):
    """The other way round, every difference has the other sign."""
    assert main(["--against=target", *map(str, folders)]) == 0
    head, _, row = capsys.readouterr().out.splitlines()
    assert "D + R above target, nats" in head and row.startswith("| unconditional | -2.0 ± 1.0 | -5.2 ± 1.7 |")
    assert main(["--against=targt", *map(str, folders)]) == 2
    assert "did you mean 'target'?" in capsys.readouterr().err


def test_settings_that_cannot_be_compared_are_named(folders, capsys):
    """Another data set, a run without curves, nothing at all: a sentence each, and no table."""
    alone = [str(folder) for folder in folders if folder.name.startswith("target")]
    assert main(["--against=target", *alone]) == 2
    assert "there is no setting to compare with target" in capsys.readouterr().err
    (folders[0] / "evaluate_curves.npz").unlink()
    assert main(["--against=target", *map(str, folders)]) == 2
    needs = "the comparison needs evaluate.json and evaluate_curves.npz"
    assert f"cannot be compared with target; {needs}" in capsys.readouterr().err
    for folder in folders:
        if folder.name.startswith("unconditional"):
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps(config | {"data": {"name": "others"}}))
    assert main(["--against=target", *map(str, folders)]) == 2
    assert "and target have different data" in capsys.readouterr().err


def test_a_seed_that_the_other_lacks_is_left_out(folders, tmp_path):
    """Else the seeds' own levels, 2 nats apart here, would be taken for what the code costs."""
    third = write_run(tmp_path, "target", 7, np.full(9, 1.0), 200.0)
    alone, further = worths(read_settings(folders))[0], worths(read_settings([third, *folders]))[0]
    assert (further.excess, further.saved) == (alone.excess, alone.saved)
    np.testing.assert_array_equal(further.curve, alone.curve)


def test_of_one_seed_in_common_that_seed_alone_counts(tmp_path):
    """The other seeds of either are left out, and the images of this one are compared."""
    cost = np.array([1.0, 2.0, 3.0, 2.0])
    for name, seed, bounds in (("target", 0, 80 + cost), ("unconditional", 0, np.full(4, 80.0))):
        run = write_run(tmp_path, name, seed, np.ones(9), bounds.mean(), encoder="te" if name == "target" else "none")
        stored = json.loads((run / "evaluate.json").read_text()) | {"provenance": {"data": "a"}}
        (run / "evaluate.json").write_text(json.dumps(stored))
        np.savez(run / "evaluate_images.npz", bound_nats=bounds, own=np.ones((2, 9)))
    write_run(tmp_path, "unconditional", 1, np.full(9, 7.0), 500.0, encoder="none")
    write_run(tmp_path, "target", 2, np.full(9, 7.0), 900.0)
    (worth,) = worths(read_settings(sorted(tmp_path.iterdir())))
    assert (worth.excess.mean, worth.excess.over) == (pytest.approx(2.0), "images")
    assert worth.excess.error == pytest.approx(cost.std(ddof=1) / 2)


@pytest.mark.parametrize("seeds, data, paired", [((0, 0), "a", True), ((0, 1), "a", True), ((0, 0), "b", False)])
def test_single_runs_are_compared_image_by_image(tmp_path, seeds, data, paired):
    """Images differ by 10 nats, what the code costs by 1: of the same images the latter alone counts."""
    rng = np.random.RandomState(0)
    level, cost = 10.0 * rng.randn(400), 2.0 + rng.randn(400)
    found = {
        "target": (data, level + cost, level[:50, None] + np.full(9, 4.0)),
        "unconditional": ("a", level, level[:50, None] + np.full(9, 5.0)),
    }
    runs = []
    for (name, (fingerprint, bounds, curves)), seed in zip(found.items(), seeds, strict=True):
        encoder = "none" if name == "unconditional" else "te"
        run = write_run(tmp_path, name, seed, curves.mean(0), bounds.mean(), encoder=encoder)
        record = json.loads((run / "evaluate.json").read_text()) | {"provenance": {"data": fingerprint}}
        (run / "evaluate.json").write_text(json.dumps(record))
        np.savez(run / "evaluate_images.npz", bound_nats=bounds, own=curves)
        runs.append(run)
    (worth,) = worths(read_settings(runs))
    assert worth.excess.over == worth.saved.over == "images"
    assert (worth.excess.mean, worth.saved.mean) == (pytest.approx(cost.mean()), pytest.approx(8.0))
    if paired:
        assert worth.excess.error == pytest.approx(cost.std(ddof=1) / 20) and worth.saved.error < 1e-9
    else:
        assert worth.excess.error == pytest.approx(np.hypot(0.3, 0.3)) and worth.saved.error > 1


@pytest.mark.parametrize("shapes", [((6, 9), (5, 9)), ((1, 9), (1, 9)), ((6, 4), (6, 4))])
def test_images_that_are_not_the_same_are_not_paired(tmp_path, shapes):
    """Of other numbers of images; of one, which has no error; at other log SNRs than the curves."""
    runs = []
    for name, shape in zip(("target", "unconditional"), shapes, strict=True):
        run = write_run(tmp_path, name, 0, np.full(9, 4.0), 80.0, encoder="none" if name == "unconditional" else "te")
        record = json.loads((run / "evaluate.json").read_text()) | {"provenance": {"data": "a"}}
        (run / "evaluate.json").write_text(json.dumps(record))
        np.savez(run / "evaluate_images.npz", bound_nats=np.ones(6), own=np.ones(shape))
        runs.append(run)
    (worth,) = worths(read_settings(runs))
    assert worth.excess.error == pytest.approx(np.hypot(0.3, 0.3)) and worth.saved.error > 1


def test_other_seeds_are_taken_apart(tmp_path):
    """One run has the error over its images, two have that over seeds: .1 of the curve, .8 of its area over 8."""
    levels = {1: 4.9, 2: 5.1}
    runs = [write_run(tmp_path, "target", 0, np.full(9, 4.0), 80.0)]
    runs += [
        write_run(tmp_path, "unconditional", seed, np.full(9, level), 79.0 + level, encoder="none")
        for seed, level in levels.items()
    ]
    (worth,) = worths(read_settings(runs))
    assert (worth.excess.mean, worth.excess.over) == (pytest.approx(-4.0), "images")
    assert (worth.saved.mean, worth.saved.over) == (pytest.approx(8.0), "images")
    np.testing.assert_allclose(worth.error, np.hypot(0.1, 0.1))
    assert worth.saved.error == pytest.approx(np.hypot(0.8, 0.8))
    assert worth.excess.error == pytest.approx(np.hypot(0.3, 0.1))
    runs.append(write_run(tmp_path, "target", 3, np.full(9, 4.4), 80.0))
    (worth,) = worths(read_settings(runs))
    assert (worth.excess.over, worth.saved.over) == ("seeds", "seeds")
    assert worth.saved.error == pytest.approx(np.hypot(1.6, 0.8)) and worth.excess.error == pytest.approx(0.1)


def test_a_baseline_has_the_same_network_and_data(folders, tmp_path):
    other = write_run(tmp_path, "wide", 0, np.full(9, 5.0), 70.0, encoder="none", unet={"size": "s"})
    settings = {setting.name: setting for setting in read_settings([*folders, other])}
    assert baseline_of(settings["target"], list(settings.values())) is settings["unconditional"]
    assert baseline_of(settings["unconditional"], list(settings.values())) is None
    assert baseline_of(settings["target"], [settings["target"], settings["wide"]]) is None


def test_a_run_with_labels_is_no_baseline(folders, tmp_path):
    run = write_run(tmp_path, "labels", 0, np.full(9, 4.0), 70.0, encoder="none")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"model": config["model"] | {"labels": True}}))
    settings = {setting.name: setting for setting in read_settings([*folders, run])}
    assert baseline_of(settings["target"], list(settings.values())) is settings["unconditional"]


def test_the_table_says_where_half_of_it_lies(folders):
    settings = read_settings(folders)
    table = worth_table(worths(settings))
    # 1.5 from -4 to -1 and a slope to 0: the lower half of 5.25 ends 1.75 above -4
    assert table.splitlines()[2] == "| target | 2.0 ± 1.0 | 5.2 ± 1.7 | -2.2 |"
    nothing = [run for run in folders if "unconditional" in run.name]
    assert worths(read_settings(nothing)) == []


def test_a_curve_a_setting(folders):
    (axes,) = worth_figure(worths(read_settings(folders))).axes
    assert [line.get_label() for line in axes.lines if not line.get_label().startswith("_")] == ["target"]
