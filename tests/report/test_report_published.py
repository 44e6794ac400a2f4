"""Published tables and figures come from the records beside them."""

import io
from pathlib import Path

import numpy as np
import pytest

import vdm_jax.report.published.__main__ as published
from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_text
from vdm_jax.report.primitives import style
from vdm_jax.report.published.page import Page, difference, faults, figure_faults, fill, publish
from vdm_jax.report.published.pages import PAGES

RESULTS = Path(__file__).resolve().parents[2] / "results"


def drawn(height: float):
    figure, axes = style.panel(title="a curve", xlabel="x", ylabel="y")
    axes.plot([0, 1, 2], [0, height, 0.2])
    axes.set_ylim(0, 2)
    return figure


@pytest.fixture
def study(tmp_path):
    """A page of one table and one figure, and the number that both come from."""
    number = {"value": 1.0}
    page = Page(
        "study",
        tables={"one": lambda folder: f"| value |\n| --- |\n| {number['value']} |"},
        figures={"curve.png": lambda folder: drawn(number["value"])},
    )
    text = "# Answer\n\n<!-- table: one -->\nold\n<!-- end -->\n\n![a curve](curve.png)\n\nBy hand.\n"
    write_text(tmp_path / "study" / "README.md", text)
    return page, tmp_path, number


def test_a_page_that_was_published_agrees_with_its_records(study):
    page, results, _ = study
    assert len(publish(page, results)) == 2
    assert faults(page, results) == [] and publish(page, results) == []
    text = (results / "study" / "README.md").read_text()
    assert "| 1.0 |" in text and "old" not in text and text.endswith("By hand.\n")


def test_a_number_that_moved_is_found_in_the_table_and_in_the_figure(study):
    page, results, number = study
    publish(page, results)
    number["value"] = 1.5
    table, figure = faults(page, results)
    assert "table one" in table and "'| 1.0 |', records '| 1.5 |'" in table
    assert "curve.png differs" in figure


def test_every_picture_has_a_declaration_and_every_declaration_a_picture(study):
    page, results, _ = study
    publish(page, results)
    write_text(results / "study" / "README.md", (results / "study" / "README.md").read_text().replace("curve", "other"))
    found = " ".join(faults(page, results, figures=()))
    assert "shows other.png, which no declaration draws" in found and "does not show it" in found
    (results / "study" / "left.png").write_bytes(b"")
    assert any("left.png has no declaration" in line for line in faults(page, results, figures=()))


@pytest.mark.parametrize("text", ["", "<!-- table: one -->\n<!-- end -->\n" * 2, "<!-- table: on -->\n<!-- end -->\n"])
def test_a_marker_and_a_table_belong_to_each_other(text):
    with pytest.raises(UserError, match="one"):
        fill(text, {"one": lambda: ""}, "page")


def test_metadata_are_no_difference():
    plain, described = io.BytesIO(), io.BytesIO()
    drawn(1.0).savefig(plain, format="png", metadata={"Software": None})
    drawn(1.0).savefig(described, format="png", metadata={"Software": "another", "Title": "a title"})
    assert plain.getvalue() != described.getvalue()
    assert difference(plain.getvalue(), described.getvalue()) == ""


@pytest.mark.parametrize("name", PAGES)
def test_published_tables_links_and_the_first_figure_agree_with_the_records(name):
    page = PAGES[name]
    assert faults(page, RESULTS, figures=list(page.figures)[:1]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if len(page.figures) > 1])
def test_every_other_published_figure_agrees_with_its_records(name):
    assert figure_faults(PAGES[name], RESULTS, list(PAGES[name].figures)[1:]) == []


def test_check_writes_nothing_and_ends_with_one_where_something_differs(study, monkeypatch, capsys):
    page, results, number = study
    monkeypatch.setattr(published, "PAGES", {"study": page})
    assert published.main([f"--results={results}"]) == 0 and (results / "study" / "curve.png").exists()
    assert published.main(["--check", f"--results={results}"]) == 0
    assert capsys.readouterr().out.endswith("1 pages agree with their records\n")
    before, number["value"] = (results / "study" / "README.md").read_text(), 1.5
    assert published.main(["--check", f"--results={results}"]) == 1
    table, figure = capsys.readouterr().out.splitlines()
    assert "table one" in table and "curve.png differs" in figure
    assert (results / "study" / "README.md").read_text() == before


def test_a_page_that_is_not_there_is_a_sentence(tmp_path, capsys):
    assert published.main([f"--results={tmp_path}"]) == 2
    assert "name the folder of all studies" in capsys.readouterr().err
    assert published.main(["mnst"]) == 2
    assert "did you mean 'mnist'?" in capsys.readouterr().err


def test_costs_and_savings_are_those_of_the_comparison_of_a_sweep():
    """Two ways from the same records: `report/compare/code_worth.py` pairs seeds as well."""
    from vdm_jax.report.compare.code_worth import worth_of
    from vdm_jax.report.published.costs import saving_over_seeds
    from vdm_jax.report.published.settings import settings
    from vdm_jax.report.published.table import difference_over_seeds

    found = settings(RESULTS / "collapse" / "digits", (0, 1, 2), ("target", "unconditional"))
    worth = worth_of(found["target"], found["unconditional"])
    saving = saving_over_seeds(found["target"], found["unconditional"])
    cost = difference_over_seeds(found["target"], found["unconditional"], "bound_nats")
    assert (saving.area.mean, saving.area.error) == pytest.approx((worth.saved.mean, worth.saved.error))
    assert (cost.mean, cost.error) == pytest.approx((worth.excess.mean, worth.excess.error))


def test_the_number_of_an_interval_is_known():
    """Three pairs with differences 1, 2, 3: t(0.975, 2) = 4.3027, s / √3 = 0.57735."""
    from vdm_jax.base.statistics import paired_difference
    from vdm_jax.report.published.table import interval

    found = paired_difference(np.array([2.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0]), "seeds")
    assert interval(found) == "2.0 [-0.5, 4.5]"
