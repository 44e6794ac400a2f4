"""The table of spaces, the figure of all windows, and the page of one space have the numbers of their records."""

import json

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from space_runs import feature, table_of, write_table

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
    assert mean_window(parts[:1], "windows", TIMESTEP)["95%"] == (400, 2.0)
    assert mean_window([parts[0], feature(held=0.8)], "windows", TIMESTEP)["95%"] is None, "some seed never has 95%"
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
    assert shape == ["| shape", "6", "50", "50", "1.00 |"] and x[1:4] == ["6", "100", "100"]


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
    first = rows["a VAE is more robust than a beta-VAE, 16 latents (32x32)"]
    assert first[0] == "100.00 [100.00, 100.00] timesteps: confirmed"
    assert rows["a beta-VAE than a DIP-VAE, 16 latents (32x32)"][0].endswith("not decided")
    assert "refuted" in rows["VAE: 256 latents are more robust than 16 (64x64)"][0]
    lost = rows["in the KL-VAE space by t = 250 (64x64)"]
    assert lost[0] == "5% of x in KL-VAE at 290.0 ± 2.0: refuted"
    assert rows["all features are lost by t = 600 (64x64)"][0].endswith(
        "5% of x in VAE, 16 latents at 750.0 ± 2.0: refuted"
    )
    assert "confirmed" not in rows["latents lose from t = 0 on (32x32)"][0]


def test_the_published_tables_and_figures_of_spaces(published):
    from vdm_jax.report.published.spaces.page import PAGE, settings_of

    assert [one.name for one in settings_of(published, "full").values()] == [
        "VAE, 16 latents", "VAE, 256 latents", "KL-VAE"
    ]  # fmt: skip
    assert "| VAE, 16 latents | 3 | 16 |" in PAGE.tables["spaces-small"](published)
    assert len(PAGE.figures["figures/windows_small_logsnr.png"](published).axes) == 6
    assert PAGE.tables.keys() >= {"claims", "windows-small", "held-windows-small", "speciation-small"}


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
