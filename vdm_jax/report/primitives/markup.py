"""The few pieces of HTML the page is made of: every argument is escaped here, but those that are said to be markup."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from vdm_jax.report.primitives.style import to_png

NO_CODE = "This model is unconditional, so it has no code w"


class Picture(NamedTuple):
    """A drawn figure: PNG bytes, and the width in CSS pixels at which its text has its natural size."""

    png: bytes
    width: int


class Gallery:
    """The folder of the report: every figure is saved there as NAME.png beside being inlined."""

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
        """Removes the pictures of an earlier report whose files are no longer there."""
        for path in self._folder.glob("*.png"):
            if path.name not in self._names:
                path.unlink()


def panel(picture: Picture, *, alt: str, label: str = "", wide: bool = False) -> str:
    """One picture on a white card; `wide` scrolls sideways on a narrow screen, where others shrink."""
    data = base64.b64encode(picture.png).decode()
    heading = f'<p class="label">{escape(label)}</p>' if label else ""
    image = f'<img width="{picture.width}" alt="{escape(alt)}" src="data:image/png;base64,{data}">'
    return f'<div class="panel {"wide" if wide else "fit"}">{heading}{image}</div>'


def figure(panels: Sequence[str], caption: str) -> str:
    """Panels side by side where there is room, with one caption (text)."""
    columns = {1: "one", 3: "three"}.get(len(panels), "two")
    pictures = f'<div class="panels {columns}">{"".join(panels)}</div>'
    return f"<figure>{pictures}<figcaption>{escape(caption)}</figcaption></figure>"


def section(name: str, title: str, html: str) -> str:
    """A section that the navigation can point at; `html` is markup."""
    return f'<section id="{escape(name)}"><h2>{escape(title)}</h2>{html}</section>'


def missing(what: str, job: str) -> str:
    """One sentence: what is not there (or cannot be read), and the job that makes it."""
    return f'<p class="missing">{escape(what)}: <code>--jobs={escape(job)}</code> makes it.</p>'


def not_applicable(text: str) -> str:
    """One sentence on why a part does not apply to this run."""
    return f'<p class="missing">{escape(text)}</p>'


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
    """`head` is text, cells are markup; columns in `numbers` are set flush right, rows in `totals` in bold."""

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
    """Small facts in a row: (name, value), both text."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{items}</dl>'


def details(summary: str, text: str) -> str:
    """Preformatted text behind a summary that opens it."""
    return f"<details><summary>{escape(summary)}</summary><pre><code>{escape(text)}</code></pre></details>"
