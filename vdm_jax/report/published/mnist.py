"""results/mnist: the table of the source blog and ours."""

from collections.abc import Callable
from pathlib import Path

from vdm_jax.report.compare.study import Setting
from vdm_jax.report.published.page import Page
from vdm_jax.report.published.settings import settings
from vdm_jax.report.published.table import each, table

SEEDS = (0, 1)
BLOG = (  # column, bits/dim, FID, KL
    ("SVDM OE++ / OE / SE / TE", "0.943 / 0.888 / 0.942 / 0.943", "60 / 61 / 61 / 60", "0"),
    ("SVDM UE", "0.808 (without its KL)", "154", "not given"),
    ("SVDM unconditional", "0.936", "60", "no code"),
    ("TVDM OE++ / OE / SE / TE", "1.054 / 1.025 / 1.055 / 1.040", "64 / 69 / 67 / 73", "0"),
    ("TVDM UE", "0.981 (without its KL)", "193", "not given"),
    ("TVDM unconditional", "1.037", "63", "no code"),
    ("MVDM OE++ / OE / SE", "1.135 / 1.151 / 1.154", "101 / 118 / 120", "0"),
    ("MVDM UE", "1.133 (without its KL)", "187", "not given"),
    ("**MVDM TE**", "1.167", "131", "0"),
    ("**MVDM unconditional**", "1.109", "90", "no code"),
)
OF_OURS = {"beta1e4": "MVDM TE", "beta1": "MVDM TE", "target": "MVDM TE", "unconditional": "MVDM unconditional"}


def blog(folder: Path) -> str:
    """The blog's 18 columns. `folder` is unused: the numbers are the blog's."""
    titles = ("column of the blog", "bits/dim", "FID", "KL, nats")
    return table(BLOG, {title: lambda row, i=i: row[i] for i, title in enumerate(titles)})


def ours(folder: Path) -> str:
    """Our four settings, both seeds, with the error over the test images of a seed."""
    found = settings(folder.parent / "collapse" / "mnist28", SEEDS, tuple(OF_OURS))

    def over_images(key: str, digits: int) -> Callable[[Setting], str]:
        def cell(one: Setting) -> str:
            runs = [run.evaluate for run in one.runs]
            return ", ".join(f"{run[key]:.{digits}f} ± {run[f'{key}_standard_error']:.{digits}f}" for run in runs)

        return cell

    column_of = {one.name: OF_OURS[stem] for stem, one in found.items()}
    columns = {
        "setting": lambda one: one.name,
        "column of the blog": lambda one: column_of[one.name],
        "D + R, bits/dim: seed 0, seed 1": over_images("bpd", 3),
        "D + R, nats": over_images("bound_nats", 0),
        "R, nats": each("encoder_kl_nats", digits=2),
        "Fréchet distance, 250 samples": each("frechet", "distance", digits=2),
    }
    return table(list(found.values()), columns)


PAGE = Page("mnist", tables={"blog": blog, "ours": ours}, figures={})
