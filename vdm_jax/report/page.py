"""One self-contained HTML page from the files of a workdir alone."""

import shlex
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_text
from vdm_jax.base.progress import bar
from vdm_jax.report.primitives.markup import Absent, Gallery, facts, section
from vdm_jax.report.primitives.stylesheet import STYLE
from vdm_jax.report.primitives.workdir import Workdir


class Section(NamedTuple):
    """One section of a page.

    Attributes:
        name: anchor of the section, unique within a page.
        title: its heading.
        draw: `draw(workdir, gallery) -> html`. Saves its figures in the gallery. Where a file is missing, it returns
            `missing(…)`, which names the job that writes it: the section is then not shown.
        facts: (name, value) pairs that the section adds to the header of the page.
    """

    name: str
    title: str
    draw: Callable[[Workdir, Gallery], str]
    facts: Callable[[Workdir], list[tuple[str, str]]] = lambda workdir: []


def write_report(workdir: str | Path, sections: Sequence[Section]) -> Path:
    """Writes WORKDIR/report/index.html and its figures as PNG files in the same folder.

    The page holds those of `sections` that have something to show, in their order; its end names the others. Everything
    is inlined: the page can be sent as one file.

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
    drawn = [(part, part.draw(run, gallery)) for part in each]
    absent = [(part.title, html) for part, html in drawn if isinstance(html, Absent)]
    shown = [(part.name, part.title, html) for part, html in drawn if not isinstance(html, Absent)]
    if absent:
        shown.append(("absent", "Not in this report", _not_shown(absent, path)))
    gallery.drop_stale()
    index = path / "report" / "index.html"
    write_text(index, _page(run, sections, shown))
    return index


def _not_shown(absent: Sequence[tuple[str, Absent]], path: Path) -> str:
    """What the page does not show: what can still be made, with the command, and what does not apply."""
    html = ""
    if titles := [title for title, each in absent if each.job]:
        whys = dict.fromkeys(each.why for _, each in absent if each.job)
        jobs = dict.fromkeys(job for _, each in absent for job in each.job.split(",") if job)
        command = shlex.join(["python", "launch.py", f"--workdir={path}", f"--jobs={','.join(jobs)},report"])
        html += (
            f"<p>Not made yet: {escape(', '.join(titles))}. {escape('. '.join(whys))}. "
            f"<code>{escape(command)}</code> makes it.</p>"
        )
    reasons: dict[str, list[str]] = {}
    for title, each in absent:
        if not each.job:
            reasons.setdefault(each.why, []).append(title)
    for why, titles in reasons.items():
        html += f"<p>{escape(', '.join(titles))}: {escape(why)}</p>"
    return html


def _page(run: Workdir, sections: Sequence[Section], shown: Sequence[tuple[str, str, str]]) -> str:
    title = escape(str(run.config.get("name") or run.path.resolve().name))
    links = "".join(f'<a href="#{name}">{escape(heading)}</a>' for name, heading, _ in shown)
    body = "\n".join(section(*each) for each in shown)
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
