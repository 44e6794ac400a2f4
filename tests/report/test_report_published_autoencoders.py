"""The page of autoencoders uses the records at 64x64 that are there, and says what was not run."""

import autoencoder_runs as runs_of
import pytest

from vdm_jax.report.published.autoencoders.latents import latent_table
from vdm_jax.report.published.autoencoders.pictures import prior_samples
from vdm_jax.report.published.autoencoders.thesis import ERRORS, sizes, spaces, thesis_table


def cells(text: str) -> dict[str, dict[str, str]]:
    """The rows of a Markdown table by their first cell."""
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines())
    return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


@pytest.fixture
def folder(tmp_path):
    """Made-up records of two spaces of the thesis, one of them with two seeds, and of one that it lacks."""
    for name, latents, value in (("vae-1-0", 1, 300.0), ("vae-256-0", 256, 8.0), ("vae-256-1", 256, 9.0),
                                 ("vae-6-0", 6, 90.0), ("conv-0", 1024, 4.0)):  # fmt: skip
        values = runs_of.numbers(latents) | {"num_latents": latents, "reconstruction_sum": value}
        run = runs_of.write(tmp_path / "full" / name, runs_of.config(name, latents=latents), values)
        runs_of.write_arrays(run, latents=latents)
    (tmp_path / "full" / "kl-0").mkdir()  # not evaluated
    return tmp_path


def test_spaces_without_a_record_are_not_run(folder):
    found = cells(thesis_table(folder))
    ours, theirs, updates = "reconstruction error, sum over an image", "thesis: reconstruction error", "ours: updates"
    assert len(found) == len(ERRORS) + 1 and list(found)[-1] == "VAE-6"
    assert (found["VAE-1"][theirs], found["VAE-1"][ours]) == ("302.81", "300.00 ± 0.21")
    assert (found["VAE-256"][theirs], found["VAE-256"][ours]) == ("16.19, 16.17, 16.12", "8.50 ± 0.50")
    assert found["CONV-VAE-4-16-16"][updates] == found["VAE-256"]["update evaluated"] == "3,000"
    for name in ("KL-VAE-4-16-16", "DIP-VAE-256", "beta-VAE(10)-1024"):
        assert found[name][updates] == "not run" and found[name][ours] == "—"
    assert found["VAE-6"][theirs] == found["beta-VAE(10)-16"][theirs] == "—"


def test_the_latent_space_of_each_space_that_was_run(folder):
    found = cells(latent_table("full", folder))
    assert list(found) == ["CONV-VAE-4-16-16", "VAE-256", "VAE-1", "VAE-6"]
    own = found["VAE-1"]
    assert (own["KL of the Gaussian fit, nats"], own["KL of prior draws, nats"]) == ("1.90 ± 0.10", "0.038")


def test_a_line_for_each_method_and_a_cross_for_each_vae_of_the_thesis(folder, tmp_path):
    axes = sizes("reconstruction", folder).axes[0]
    lines = {container.get_label(): container[0].get_xydata().tolist() for container in axes.containers}
    assert lines == {"VAE": [[1, 300], [6, 90], [256, 8.5]], "CONV-VAE-4-16-16": [[1024, 4]]}
    crosses = axes.get_lines()[-1].get_xydata().tolist()
    assert crosses[0] == [1, 302.81] and crosses[-2:] == [[256, 16.19], [1024, 24.25]] and len(crosses) == 7
    assert not sizes("on_data", folder).axes[0].texts


def test_without_a_record_tables_and_figures_say_so(tmp_path):
    assert not any(space.runs for space in spaces(tmp_path).values())
    assert {row["ours: updates"] for row in cells(thesis_table(tmp_path)).values()} == {"not run"}
    assert "not run" in sizes("on_data", tmp_path).axes[0].get_title("left")
    assert prior_samples("full", tmp_path).texts[0].get_text() == "not run"


def test_a_row_of_samples_for_each_space_of_seed_0(folder):
    names = [text.get_text() for text in prior_samples("full", folder).texts]
    assert names == ["CONV-VAE-4-16-16", "VAE-256", "VAE-1", "VAE-6"]
