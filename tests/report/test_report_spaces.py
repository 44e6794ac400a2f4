"""The table of spaces, the figure of all windows, and the page of one space have the numbers of their records."""

import json

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from space_runs import TIMES, feature, table_of, write_table

from vdm_jax.report.compare.space_sweep import group, spaces_table, speciation_table, windows_table, write_space_sweep
from vdm_jax.report.page import write_report
from vdm_jax.report.primitives.space_windows import LOGSNR, OF_HELD, TIMESTEP, mean_window, windows_figure
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.sections import SPACES_PAGE


@pytest.fixture
def runs(tmp_path):
    """Two spaces: three seeds of one, one of the other, which holds less."""
    made = {f"vae-16-small,seed={seed}": table_of("vae-16-small", seed, 10 * seed) for seed in range(3)}
    made["vae-1-small,seed=0"] = table_of("vae-1-small", 0, -60.0, held=0.8)
    return {name: write_table(tmp_path / name, record) for name, record in made.items()}


def test_seeds_are_averaged_and_named_spaces_are_not(runs, tmp_path):
    read = {name: Workdir(path) for name, path in runs.items()}
    assert [(one.name, len(one.runs)) for one in group(read)] == [("vae-16-small", 3), ("vae-1-small", 1)]
    record = table_of("mine", trained=False)
    named = {name: Workdir(write_table(tmp_path / name, record)) for name in ("a", "b")}
    assert [one.name for one in group(named)] == ["a", "b"]


def test_the_mean_window_of_seeds():
    parts = [feature(shift) for shift in (0.0, 10.0, 20.0)]
    found = mean_window(parts, "windows", TIMESTEP)
    assert found["50%"].at == 510 and found["50%"].error == pytest.approx(10 / np.sqrt(3))
    assert mean_window(parts[:1], "windows", TIMESTEP)["95%"] == (400, 2.0, 1, 1)
    less = feature(held=0.8)
    some = mean_window([parts[0], less], "windows", TIMESTEP)["95%"]
    assert some == (400, None, 1, 2) and not some.by_all, "some seed never has 95%"
    assert mean_window([less, less], "windows", TIMESTEP)["95%"] is None, "no seed has it"
    assert mean_window(parts, "windows", LOGSNR)["5%"].at == pytest.approx(-2.1)


def test_tables_have_the_numbers(runs):
    settings = group({name: Workdir(path) for name, path in runs.items()})
    first, second = (line.split(" | ") for line in spaces_table(settings).splitlines()[2:])
    assert first[:4] == ["| vae-16-small", "3", "16", "5.00 ± 0.58"] and second[3] == "4.00 ± 0.10"
    assert first[5] == "4" and "0.030" in first[-1]
    lines = windows_table(settings).splitlines()
    assert lines[2] == (
        "| vae-16-small | as it stands | 410 ± 5.8 / 510 ± 5.8 / 710 ± 5.8 | 460 ± 5.8 / 560 ± 5.8 / 760 ± 5.8 |"
    )
    assert lines[5].startswith("| vae-1-small | as it stands | never / 440 ± 2.0 / 640 ± 2.0 |")
    assert "340 ± 2.0" in windows_table(settings, OF_HELD).splitlines()[5], "of what is held"
    shape, x = (line.split(" | ") for line in speciation_table(settings).splitlines()[2:])
    assert shape == ["| shape", "6", "50", "50", "1.00", "— (2)", "1.00 (4) |"] and x[1:4] == ["6", "100", "100"]


def test_a_share_that_some_seeds_hold_is_not_never(tmp_path):
    parts = [table_of("vae-16-small", seed, 10 * seed, held=1.0 if seed else 0.8) for seed in range(3)]
    settings = group(
        {f"vae-16-small,seed={i}": Workdir(write_table(tmp_path / str(i), part)) for i, part in enumerate(parts)}
    )
    assert " | 415 ± 5.0 in 2 of 3 / 510 ± 5.8 / " in windows_table(settings)
    (axes,) = windows_figure({"some": {"none": settings[0].features("none")}}, TIMESTEP).axes[:1]
    assert axes.patches[0].get_x() == 0, "drawn as never reached"


def test_a_feature_named_scale_has_a_column_of_its_own(tmp_path):
    record = table_of("vae-16-small", 0)
    for found in record["scales"].values():
        found["features"] = {"scale": found["features"]["shape"]}
    settings = group({"one": Workdir(write_table(tmp_path / "one", record))})
    title, _, first, *_ = windows_table(settings).splitlines()
    assert title == "| space | latents | scale |" and first.split(" | ")[1] == "as it stands"


def test_bars_lie_where_the_windows_are():
    spaces = {"all": {"none": {"x": [feature()]}}, "less": {"none": {"x": [feature(held=0.8)]}}}
    (axes,) = windows_figure(spaces, TIMESTEP, end=1000.0).axes
    found = [
        (bar.get_x(), bar.get_x() + bar.get_width(), round(bar.get_y() + bar.get_height() / 2)) for bar in axes.patches
    ]
    assert found == [(400, 700, 0), (0, 700, 1)], "a share that is never reached begins at the edge"
    whiskers = [each for each in axes.containers if isinstance(each, ErrorbarContainer)]
    assert sorted(np.mean(each.lines[0].get_xdata()) for each in whiskers) == [400, 500, 500, 700, 700]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["all", "less"]
    (axes,) = windows_figure(spaces, LOGSNR, key=OF_HELD).axes
    left, right = axes.get_xlim()
    assert left > right, "noise to the right"
    assert [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches] == [(1, -2), (1, -2)]


def test_a_feature_that_a_space_does_not_hold_is_a_cross():
    nothing = feature() | {"windows": dict.fromkeys(("95%", "50%", "5%"))}
    (axes,) = windows_figure({"none": {"none": {"x": [nothing]}}}, TIMESTEP).axes
    assert not axes.patches and axes.lines[0].get_marker() == "x"


def test_a_sweep_writes_its_files(tmp_path):
    record = table_of("vae-1-small", held=0.8)
    record["scales"] = {"none": record["scales"]["none"]}  # fewer panels
    runs = {"vae-1-small,seed=0": write_table(tmp_path / "one", record)}
    text = write_space_sweep(tmp_path / "sweep", runs, {"kl-small,seed=0": "failed"})
    assert (
        "Missing, failed: kl-small,seed=0" in text
        and text == (tmp_path / "sweep" / "sweep.md").read_text()[: len(text)]
    )
    assert len(list((tmp_path / "sweep").glob("sweep_*.png"))) == 4
    stored = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    assert stored["runs"]["vae-1-small,seed=0"]["scales"]["none"]["features"]["shape"]["held"] == 0.8
    assert "No member is measured yet" in write_space_sweep(tmp_path / "none", {}, {})


def test_the_page_of_a_space(runs, tmp_path):
    path = runs["vae-1-small,seed=0"]
    page = write_report(path, SPACES_PAGE).read_text()
    assert page.count("<img") == 3 and "As it stands" not in page
    for text in ("80.0%", "16, 16", "drawn from q(u | x)", "as it stands", "mean variance 1", "340 ± 2.0", "never"):
        assert text in page, text
    (path / "table.json").write_text("{")
    assert "--jobs=table," in write_report(path, SPACES_PAGE).read_text()


@pytest.fixture
def published(tmp_path):
    """32x32: a VAE 100 timesteps later than a beta-VAE in three seeds, a DIP-VAE as late as that. 64x64: one seed."""
    for seed in range(3):
        for stem, shift in (("vae-16", 100.0), ("beta10-16", 0.0), ("dip1-16", 30.0 * (seed - 1))):
            write_table(tmp_path / "small" / f"{stem}-{seed}", table_of(stem, seed, shift + seed))
    for stem, shift in (("vae-16", 0.0), ("vae-256", -20.0), ("kl", -460.0)):
        write_table(tmp_path / "full" / f"{stem}-0", table_of(stem, 0, shift))
    return tmp_path


def test_claims_are_decided_by_the_records(published):
    from vdm_jax.report.published.spaces.page import claims

    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in claims(published).splitlines()[2:]}
    assert rows["VAE > beta-VAE, 10, 16 latents: half of all (32x32)"][0] == (
        "100.00 [100.00, 100.00] timesteps (shape, x): confirmed"
    )
    assert "(shape, x): confirmed" in rows["VAE > beta-VAE, 10, 16 latents: half of what is held (32x32)"][1]
    assert rows["beta-VAE, 10 > DIP-VAE I, 16 latents: half of all (32x32)"][0].endswith(": not decided")
    lost = "all features are lost by t = 600: "
    assert rows[f"{lost}VAE (32x32)"][0] == "5% of x in VAE, 16 latents until 851.00 ± 0.58: refuted"
    assert "VAE, 16" not in rows[f"{lost}beta-VAE (32x32)"][0], "a verdict for each family"
    assert "confirmed" not in rows["latents lose from t = 0 on (32x32)"][0]
    assert rows["… and linearly (32x32)"][0].endswith("of 6, 6 above 0.05: refuted")
    assert rows["larger latents > smaller ones (32x32)"] == ["not run", "not run", "not run |"]


def test_one_training_decides_nothing(published):
    from vdm_jax.report.published.spaces.page import claims

    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in claims(published).splitlines()[2:]}
    own = {name: row for name, row in rows.items() if "(64x64)" in name}
    assert own["VAE, 256 latents > 16: half of all (64x64)"][0] == "-20 timesteps (shape, x): one seed, not decided"
    assert (
        own["in the KL-VAE space by t = 250 (64x64)"][0] == "5% of x in KL-VAE until 290.0 ± 2.0: one seed, not decided"
    )
    assert not [row for row in own.values() if "confirmed" in row[0] or "refuted" in row[0]]


def test_the_distance_from_a_straight_line():
    """The line ends at 5%, at 700: 0.66 at 250, where 0.9 remain."""
    from vdm_jax.report.published.spaces.curve_claims import distance_from_line

    own, times = feature(), np.array(TIMES, np.float64)
    assert distance_from_line(own, times) == pytest.approx(0.9 - (1 - 0.95 * 250 / 700))
    own["exact"]["r2"] = list(1 - 0.95 * times / 700)
    assert distance_from_line(own, times) == pytest.approx(0, abs=1e-12)


def test_a_loss_within_the_error_of_the_limit_is_not_decided(tmp_path):
    """750 ± 5.8 over three seeds has a t interval of 725 to 775."""
    from vdm_jax.report.published.spaces.curve_claims import left_at, lost_by
    from vdm_jax.report.published.spaces.page import settings_of

    for seed in range(3):
        write_table(tmp_path / "small" / f"vq-{seed}", table_of("vq", seed, 10.0 * (seed - 1)))
    space = settings_of(tmp_path, "small")["vq"]
    verdicts = [lost_by(limit, [space], "none").verdict for limit in (700.0, 740.0, 760.0, 800.0)]
    assert verdicts == ["refuted", "not decided", "not decided", "confirmed"]
    assert [left_at(limit, space, "none").verdict for limit in (700.0, 800.0)] == ["confirmed", "refuted"]


def test_classifiers_below_one_half_and_without_training_are_shown(tmp_path):
    from vdm_jax.report.published.spaces.chains import chains, real_or_generated

    distances = {
        "backward_accuracy": {"mean": 0.03, "mean_standard_errors": 7.5, "largest": 0.17, "standard_errors": 104.0}
    }
    scores = {"accuracy": [0.444, 0.52], "standard_error": [0.016, 0.016], "distance": {"standard_errors": 3.54}}
    sampler = {"features": {"x": {"distances": distances}}, "real_or_generated": scores, "far_from_data": 0.61}
    record = {"samplers": {"exact": sampler}, "reader_errors": {"exact": {"any_error": 0.155}}}
    probes = {"timesteps": [0, 500], "samplers": {"model-ancestral:100": {"real_or_generated": {
        "posterior": {"accuracy": [0.995, 0.5], "standard_error": [0.001, 0.006]},
        "probe": {"accuracy": [0.5, 0.51], "standard_error": [0.01, 0.01]}}}}}  # fmt: skip
    for folder, name, content in (("conv-exact", "chains", record), ("conv-trained", "chain_probes", probes)):
        (tmp_path / "chains" / folder).mkdir(parents=True)
        (tmp_path / "chains" / folder / f"{name}.json").write_text(json.dumps(content))
    assert chains(tmp_path).splitlines()[2] == (
        "| CONV-VAE | exact | 0.0300 (7.50) | 0.170 (104.0) | — | — | 0.444 (3.5) | 0.610 | 0.155 |"
    )
    trees, probe = real_or_generated(tmp_path).splitlines()[2:]
    assert trees.endswith("| 0.9950 ± 0.0010 | 0.5000 ± 0.0060 |") and probe.endswith(
        "| 0.5, not trained | 0.510 ± 0.010 |"
    )


def test_samples_of_an_untrained_diffuser_are_compared_over_seeds(tmp_path):
    from vdm_jax.report.published.spaces.model_claims import claims_of_models

    for seed in range(3):
        shares = {"untrained": 0.4, "trained": 0.1, "prior": 0.39, "codes": 0.005}
        rows = {row: {"not_a_sprite": share + 0.01 * seed} for row, share in shares.items()}
        (tmp_path / "diffusion" / f"vae-16-linear-{seed}").mkdir(parents=True)
        (tmp_path / "diffusion" / f"vae-16-linear-{seed}" / "evaluate.json").write_text(json.dumps({"table": rows}))
    found = dict(claims_of_models(tmp_path))
    text, verdict = found.pop("an untrained diffuser makes very good samples")
    assert verdict == "refuted" and "0.4100 ± 0.0058 resemble no sprite" in text and "untrained − trained 0.3" in text
    assert {claim.verdict for claim in found.values()} == {"not run"}


def test_the_published_tables_and_figures_of_spaces(published):
    from vdm_jax.report.published.spaces.page import PAGE, settings_of

    assert [one.name for one in settings_of(published, "full").values()] == [
        "VAE, 16 latents", "VAE, 256 latents", "KL-VAE"
    ]  # fmt: skip
    assert "| VAE, 16 latents | 3 | 16 |" in PAGE.tables["spaces-small"](published)
    assert len(PAGE.figures["figures/windows_small_logsnr.png"](published).axes) == 6
    assert PAGE.tables.keys() >= {"claims", "windows-small", "held-windows-small", "speciation-small", "diffusers-full"}


def test_pixels_have_windows_in_log_snr_without_a_record_of_them():
    from vdm_jax.report.published.spaces.page import in_pixels

    timesteps = np.linspace(0, 1000, 101)
    windows = {"95%": None, "50%": 400.0, "5%": 700.0}
    record = {"timesteps": timesteps, "abar": np.cos(timesteps / 640) ** 2, "features": {"x": {"windows": windows}}}
    (found,) = in_pixels(record)["x"]
    abar = np.cos(np.array([400, 700]) / 640) ** 2
    assert found["windows_logsnr"]["95%"] is None
    np.testing.assert_allclose(
        [found["windows_logsnr"][level] for level in ("50%", "5%")], np.log(abar / (1 - abar)), atol=1e-3
    )
