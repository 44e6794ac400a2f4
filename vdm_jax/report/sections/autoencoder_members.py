"""The members of an ensemble of autoencoders, each of which is a run with a page of its own."""

from html import escape

from vdm_jax.base.errors import UserError
from vdm_jax.report.compare.columns import COLUMNS
from vdm_jax.report.compare.study import read_settings
from vdm_jax.report.page import Section
from vdm_jax.report.primitives.markup import Gallery, missing, not_applicable, table
from vdm_jax.report.primitives.workdir import Workdir

MEMBERS = "members"


def members_section(workdir: Workdir, gallery: Gallery) -> str:
    """The numbers of the members by setting, mean and standard error over seeds, and links to their pages."""
    folders = sorted(path.parent for path in (workdir.path / MEMBERS).glob("*/config.json"))
    if not folders:
        return not_applicable("This run has one member, itself.")
    evaluated = [folder for folder in folders if (folder / "evaluate.json").exists()]
    links = ", ".join(
        f'<a href="../{MEMBERS}/{escape(folder.name)}/report/index.html">{escape(folder.name)}</a>'
        for folder in folders
    )
    text = f"<p>{len(folders)} members, each a run in a folder of its own: {links}.</p>"
    if not evaluated:
        return text
    try:
        settings = read_settings(evaluated)
    except UserError:
        return missing("There are members whose numbers cannot be compared", "evaluate")
    rows = [{title: each.measured(*place) for title, place in COLUMNS["autoencoder"].items()} for each in settings]
    titles = [title for title in COLUMNS["autoencoder"] if any(row[title] is not None for row in rows)]
    cells = [
        [escape(each.name), str(len(each.runs)), *("—" if row[t] is None else escape(str(row[t])) for t in titles)]
        for each, row in zip(settings, rows, strict=True)
    ]
    shown = table(["setting", "seeds", *titles], cells, numbers=range(1, 2 + len(titles)))
    return f"{text}{shown}<p>± one standard error over seeds; (± one standard error over images) of a single seed.</p>"


ENSEMBLE = Section("members", "Members", members_section)
