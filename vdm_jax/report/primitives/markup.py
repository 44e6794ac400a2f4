"""The HTML elements of a page. Arguments are escaped here, except those documented as markup."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from vdm_jax.report.primitives.style import to_png

NO_CODE = "This model has no code w"


class Picture(NamedTuple):
    """A drawn figure: PNG bytes, and the width in CSS pixels at which its text has its nominal size."""

    png: bytes
    width: int


class Gallery:
    """The folder of the report. Every figure is saved there as NAME.png and is inlined in the page."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._names: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, name: str, figure: Figure) -> Picture:
        """Draws `figure` and saves it as NAME.png."""
        png = to_png(figure)
        (self._folder / f"{name}.png").write_bytes(png)
        self._names.add(f"{name}.png")
        return Picture(png, round(figure.get_figwidth() * figure.dpi / 2))

    def drop_stale(self) -> None:
        """Removes the pictures of an earlier report that this report did not save."""
        for path in self._folder.glob("*.png"):
            if path.name not in self._names:
                path.unlink()


def panel(picture: Picture, *, alt: str, label: str = "", wide: bool = False) -> str:
    """One picture on a white card. On a narrow screen a `wide` picture scrolls sideways; others shrink."""
    data = base64.b64encode(picture.png).decode()
    heading = f'<p class="label">{escape(label)}</p>' if label else ""
    image = f'<img width="{picture.width}" alt="{escape(alt)}" src="data:image/png;base64,{data}">'
    return f'<div class="panel {"wide" if wide else "fit"}">{heading}{image}</div>'


def figure(panels: Sequence[str], caption: str) -> str:
    """Panels in a row, if there is room, with one caption (text)."""
    columns = {1: "one", 2: "two", 4: "two"}.get(len(panels), "three")
    pictures = f'<div class="panels {columns}">{"".join(panels)}</div>'
    return f"<figure>{pictures}<figcaption>{escape(caption)}</figcaption></figure>"


def section(name: str, title: str, html: str) -> str:
    """A section with an anchor for the navigation. `html` is markup."""
    return f'<section id="{escape(name)}"><h2>{escape(title)}</h2>{html}</section>'


class Absent(str):
    """The html of a section that has nothing to show. The page does not show it; its end names it.

    Attributes:
        why: text.
        job: the jobs that would make it, such as "exact,chains"; "" where none would.
    """

    why: str
    job: str

    def __new__(cls, html: str, why: str, job: str = ""):
        found = super().__new__(cls, html)
        found.why, found.job = why, job
        return found


def missing(what: str, job: str) -> Absent:
    """One sentence that names a missing or unreadable record and the job that writes it."""
    html = f'<p class="missing">{escape(what)}: <code>--jobs={escape(job)}</code> makes it.</p>'
    return Absent(html, what, job)


def not_applicable(text: str) -> Absent:
    """One sentence that says why a section does not apply to this run."""
    return Absent(f'<p class="missing">{escape(text)}</p>', text)


def card(name: str, value: str, unit: str, warning: str = "") -> str:
    """One number that matters; `value` is markup, from `numbers.measured`."""
    badge = f' <span class="warn">{escape(warning)}</span>' if warning else ""
    return (
        f'<div class="card"><div class="name">{escape(name)}{badge}</div><div class="value">{value}</div>'
        f'<div class="unit">{escape(unit)}</div></div>'
    )


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = (), totals: Sequence[int] = ()
) -> str:
    """A table. `head` is text, cells are markup. Columns in `numbers` are flush right, rows in `totals` are bold."""

    def cell(tag: str, column: int, html: str) -> str:
        kind = ' class="number"' if column in numbers else ""
        return f"<{tag}{kind}>{html}</{tag}>"

    top = "".join(cell("th", i, escape(text)) for i, text in enumerate(head))
    top = f"<thead><tr>{top}</tr></thead>" if any(head) else ""
    body = ""
    for i, row in enumerate(rows):
        cells = "".join(cell("th" if j == 0 else "td", j, html) for j, html in enumerate(row))
        kind = ' class="total"' if i in totals else ""
        body += f"<tr{kind}>{cells}</tr>"
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """A row of facts: (name, value), both text."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{items}</dl>'


def details(summary: str, text: str) -> str:
    """Preformatted text that opens with a click on its summary."""
    return folded(summary, f"<pre><code>{escape(text)}</code></pre>")


def folded(summary: str, html: str) -> str:
    """Markup that opens with a click on its summary (text)."""
    return f"<details><summary>{escape(summary)}</summary>{html}</details>"
