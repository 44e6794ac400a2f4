"""One self-contained HTML page from the files of a workdir alone."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_text
from vdm_jax.base.progress import bar
from vdm_jax.report.primitives.markup import Gallery, facts, section
from vdm_jax.report.primitives.stylesheet import STYLE
from vdm_jax.report.primitives.workdir import Workdir


class Section(NamedTuple):
    """One section of a page.

    Attributes:
        name: anchor of the section, unique within a page.
        title: its heading.
        draw: `draw(workdir, gallery) -> html`. Saves its figures in the gallery. Where a file is missing, the html
            names the job that writes it.
        facts: (name, value) pairs that the section adds to the header of the page.
    """

    name: str
    title: str
    draw: Callable[[Workdir, Gallery], str]
    facts: Callable[[Workdir], list[tuple[str, str]]] = lambda workdir: []


def write_report(workdir: str | Path, sections: Sequence[Section]) -> Path:
    """Writes WORKDIR/report/index.html and its figures as PNG files in the same folder.

    The page holds `sections` in their order. Everything is inlined: the page can be sent as one file.

    Returns:
        The path of the page.

    Raises:
        UserError: the folder does not exist.
    """
    path = Path(workdir)
    if not path.is_dir():
        raise UserError(f"workdir={str(path)!r} is not a folder; --jobs=train makes it")
    run, gallery = Workdir(path), Gallery(path / "report")
    each = (sections[i] for i in bar("report: sections")(range(len(sections))))
    body = "\n".join(section(part.name, part.title, part.draw(run, gallery)) for part in each)
    gallery.drop_stale()
    index = path / "report" / "index.html"
    write_text(index, _page(run, sections, body))
    return index


def _page(run: Workdir, sections: Sequence[Section], body: str) -> str:
    title = escape(str(run.config.get("name") or run.path.resolve().name))
    links = "".join(f'<a href="#{each.name}">{escape(each.title)}</a>' for each in sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<header><h1>{title}</h1>{facts(_header_facts(run, sections))}<nav aria-label="Sections">{links}</nav></header>
{body}
</main>
</body>
</html>
"""


def _header_facts(run: Workdir, sections: Sequence[Section]) -> list[tuple[str, str]]:
    """Data, the facts of the sections, commit, device and time; "not recorded" where a record lacks them."""
    origin = run.provenance
    data = run.config.get("data")
    name = data.get("name") if isinstance(data, dict) else None
    pairs = [("data", str(name or "not recorded"))]
    for each in sections:
        pairs += each.facts(run)
    pairs += [(key, str(origin.get(key, "not recorded"))) for key in ("commit", "device")]
    return pairs + ([("time", str(origin["time"]))] if "time" in origin else [])
