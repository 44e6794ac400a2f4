"""A published page: its tables stand between markers in README.md, its figures beside it; both come from records.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. Everything else on the page is written by hand.
"""

import io
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.image import imread

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.files import write_file, write_text
from vdm_jax.report.primitives.style import to_png

TABLE = re.compile(r"(<!-- table: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+\.png)\)")
BLOCK = 4  # pixels; the picture is compared in squares of this side, so that the edges of letters weigh little
TONE = 0.08  # largest difference of a square in [0, 1] that another font renderer may make
SHARE = 0.001  # largest share of squares that may differ by more; another word of a legend is more than that


class Page(NamedTuple):
    """What a folder of results publishes.

    Attributes:
        folder: name under results/.
        tables: name of the marker -> function of the folder that returns a Markdown table.
        figures: path of the PNG under the folder -> function of the folder that draws it.
    """

    folder: str
    tables: Mapping[str, Callable[[Path], str]]
    figures: Mapping[str, Callable[[Path], Figure]]


def fill(text: str, tables: Mapping[str, Callable[[], str]], where: str) -> str:
    """`text` with every marked table made anew.

    Raises:
        UserError: a marker names no table, a table has no marker or two.
    """
    names = [name for _, name, _, _ in TABLE.findall(text)]
    for name in names:
        choose(f"{where}: table", name, tables)
    for name in tables:
        if names.count(name) != 1:
            raise UserError(f"{where} has {names.count(name)} markers '<!-- table: {name} -->'; expected one")
    return TABLE.sub(lambda found: f"{found[1]}{tables[found[2]]()}\n{found[4]}", text)


def publish(page: Page, results: Path, figures: Iterable[str] | None = None) -> list[str]:
    """Writes the tables and figures of a page that differ from their records. Returns the paths written."""
    folder, written = results / page.folder, []
    readme = folder / "README.md"
    text = readme.read_text()
    filled = fill(text, bound(page, folder), str(readme))
    if filled != text:
        write_text(readme, filled)
        written.append(str(readme))
    for name in page.figures if figures is None else figures:
        png, path = to_png(page.figures[name](folder)), folder / name
        if not path.exists() or difference(path.read_bytes(), png, exact=True):
            write_file(path, lambda file, png=png: file.write(png))
            written.append(str(path))
    return written


def faults(page: Page, results: Path, figures: Iterable[str] | None = None) -> list[str]:
    """One sentence for each table, figure or link of a page that does not agree with its records.

    Args:
        page: what the folder publishes.
        results: the folder of all studies.
        figures: the figures to draw; None for all of them.
    """
    folder, found = results / page.folder, []
    text = (folder / "README.md").read_text()
    where = f"{page.folder}/README.md"
    try:
        filled = fill(text, bound(page, folder), where)
    except UserError as error:
        return [str(error)]
    for (_, name, old, _), (_, _, new, _) in zip(TABLE.findall(text), TABLE.findall(filled), strict=True):
        if old != new:
            found.append(f"{where}: table {name} differs from its records: {_first_difference(old, new)}")
    shown = set(PICTURE.findall(text))
    drawn = {str(path.relative_to(folder)) for path in folder.rglob("*.png")}
    found += [f"{where} shows {name}, which no declaration draws" for name in sorted(shown - page.figures.keys())]
    found += [
        f"{page.folder}/{name} is drawn and {where} does not show it" for name in page.figures if name not in shown
    ]
    found += [f"{page.folder}/{name} has no declaration" for name in sorted(drawn - page.figures.keys())]
    return found + figure_faults(page, results, page.figures if figures is None else figures)


def figure_faults(page: Page, results: Path, figures: Iterable[str]) -> list[str]:
    """One sentence for each of these figures that does not agree with its records."""
    folder, found = results / page.folder, []
    for name in figures:
        path = folder / name
        why = difference(path.read_bytes(), to_png(page.figures[name](folder))) if path.exists() else "is missing"
        if why:
            found.append(f"{page.folder}/{name} {why}")
    return found


def bound(page: Page, folder: Path) -> dict[str, Callable[[], str]]:
    """The tables of a page as functions without arguments."""
    return {name: lambda make=make: make(folder) for name, make in page.tables.items()}


def _first_difference(old: str, new: str) -> str:
    """The first line that differs, as published and as the records give it."""
    lines = [text.splitlines() for text in (old, new)]
    longest = max(map(len, lines))
    pairs = zip(*(each + [""] * (longest - len(each)) for each in lines), strict=True)
    return next((f"published {a!r}, records {b!r}" for a, b in pairs if a != b), "by its last line")


def difference(published: bytes, drawn: bytes, *, exact: bool = False) -> str:
    """Why two PNG files show different pictures; an empty string if they show the same one. Metadata do not count.

    Unless `exact`, small differences pass: another version of matplotlib draws letters a little differently.
    """
    ours, theirs = (_blocks(png) for png in (published, drawn))
    if ours.shape != theirs.shape:
        return f"has {ours.shape[:2]} squares of {BLOCK} pixels where its records give {theirs.shape[:2]}"
    tone, most = (0.0, 0.0) if exact else (TONE, SHARE)
    share = float((np.abs(ours - theirs).max(-1) > tone).mean())
    return f"differs from its records in {share:.1%} of the picture" if share > most else ""


def _blocks(png: bytes) -> Float[np.ndarray, "h w 3"]:
    """Mean colours in [0, 1] of squares of `BLOCK` pixels."""
    colours = imread(io.BytesIO(png), format="png")[..., :3]
    h, w = (side // BLOCK for side in colours.shape[:2])
    return colours[: h * BLOCK, : w * BLOCK].reshape(h, BLOCK, w, BLOCK, 3).mean((1, 3), dtype=np.float64)
