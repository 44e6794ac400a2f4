"""Claims about codes and what the records say: differences of two codes, paired seed by seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vdm_jax.base.statistics import Difference
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.representations.records import (
    DATA,
    NOT_DECIDED,
    Number,
    difference,
    number_of,
    part,
    runs_of,
    verdict,
)
from vdm_jax.report.published.table import interval, table

PAPER, OURS = "Abstreiter et al.", "ours"
LABELS = (1, 10, 100)  # a class
UNIT_SCORE, UNIT_RMSE, UNIT_NATS = "accuracy or R²", "RMSE", "nats"
# A coarse and a fine factor. On sprites noise destroys shape before x. Where there is a class alone the fine measure is
# the error of the best linear map from the code to pixels.
FACTORS = {"digits": ("class", None), "mnist14": ("class", None), "sprites": ("x", "shape")}
COARSE_AND_FINE = {  # pairs of codes, of which the first is trained on more noise
    "log SNR below the split, less above it": ("drl_low", "drl_high"),
    "DRL with lambda = ½ sigma⁴, less ½": ("drl_p2", "drl_uniform"),
    "VDRL at one rate with lambda = ½ sigma⁴, less ½": ("vdrl_p2", "vdrl_uniform"),
}
PAYING = ("vae_vdm", "target", "target_learned", "vdrl_uniform", "vdrl_p2", "vdrl_learned")


class CodeClaim(NamedTuple):
    """A claim. of: who makes it."""

    text: str
    of: str


GRANULARITY = CodeClaim("the weighting lambda(t) chooses the granularity of the code", PAPER)
TIME = CodeClaim("E(x, t) holds more than E(x)", PAPER)
DOWNSTREAM = CodeClaim("the code helps where labels are few", PAPER)
DRL_OR_VAE = CodeClaim("a code of the score holds more of the class than one of the bound", OURS)
PAYS = CodeClaim("the code pays for itself", OURS)


class Comparison(NamedTuple):
    """What a claim predicts: a difference that is above zero, `more` - `less` of one run."""

    claim: CodeClaim
    text: str
    unit: str
    more: Number
    less: Number


class Judged(NamedTuple):
    """A comparison on one data set."""

    comparison: Comparison
    data: str
    found: Difference

    @property
    def verdict(self) -> str:
        """ "yes", "no", or why there is none."""
        return verdict(self.found)


def readout(code: str, factor: str) -> Number:
    """Accuracy or R² of a linear readout."""
    return number_of("codes", "codes", code, "readouts", factor, "linear")


def few(code: str, factor: str, labels: int) -> Number:
    """The score of a readout from so many labels a class."""
    return number_of("codes", "codes", code, "few_labels", factor, str(labels))


def rmse(code: str) -> Number:
    """The error of the best linear map from the code to pixels in [0, 1]."""
    return number_of("decoded", "linear", code, "reconstruction", "rmse")


def bound(run: str) -> Number:
    """D + R, nats."""
    return number_of("codes", "costs", run, "bound_nats")


def comparisons(data: str, width: int) -> list[Comparison]:
    """The comparisons of a data set. width: the numbers of one code."""
    (coarse, fine), pca = FACTORS[data], f"pca_{width}"
    found = []
    for text, (low, high) in COARSE_AND_FINE.items():
        each = f"linear readout of {coarse}: {text}"
        found.append(Comparison(GRANULARITY, each, UNIT_SCORE, readout(low, coarse), readout(high, coarse)))
        if fine is None:
            each = f"error of the best linear map to pixels: {text}"
            found.append(Comparison(GRANULARITY, each, UNIT_RMSE, rmse(low), rmse(high)))
        else:
            each = f"linear readout of {fine}, with the sign changed: {text}"
            found.append(Comparison(GRANULARITY, each, UNIT_SCORE, readout(high, fine), readout(low, fine)))
    read = fine or coarse
    for text, (more, less) in {
        "five times together, less E(x) of as many numbers": ("drl_time@all", "drl_wide"),
        f"{width} components of five times, less E(x)": (f"drl_time@all_pca_{width}", "drl"),
    }.items():
        each = f"linear readout of {read}: {text}"
        found.append(Comparison(TIME, each, UNIT_SCORE, readout(more, read), readout(less, read)))
    for labels in LABELS:
        for name, words in {"pixels": "pixels", pca: "principal components", "untrained_drl": "untrained"}.items():
            each = f"{read} from {labels} label{'s' if labels > 1 else ''} a class: DRL, less {words}"
            found.append(Comparison(DOWNSTREAM, each, UNIT_SCORE, few("drl", read, labels), few(name, read, labels)))
    for text, (more, less) in {
        "DRL, less VAE-VDM without a rate": ("drl", "none"),
        "VDRL with lambda = ½ sigma⁴, less VAE-VDM, one rate": ("vdrl_p2", "target"),
    }.items():
        each = f"linear readout of {read}: {text}"
        found.append(Comparison(DRL_OR_VAE, each, UNIT_SCORE, readout(more, read), readout(less, read)))
    for run in PAYING:
        each = f"D + R without a code, less that of {run.replace('_', ' ')}"
        found.append(Comparison(PAYS, each, UNIT_NATS, bound("unconditional"), bound(run)))
    return found


def answers(folder: Path) -> list[Judged]:
    """Every comparison on every data set whose records have both numbers."""
    judged = []
    for data in DATA:
        runs = runs_of(folder, data)
        of_data = comparisons(data, _width(runs)) if runs else []
        found = [(one, difference(runs, one.more, one.less)) for one in of_data]
        judged += [Judged(one, data, each) for one, each in found if each is not None]
    return judged


def _width(runs: Sequence[Workdir]) -> int:
    return int(part(runs[0], "codes", "codes", "drl", "about")["width"])


def verdict_table(folder: Path) -> str:
    """One row for each comparison."""
    return table(
        answers(folder),
        {
            "claim": lambda one: one.comparison.claim.text,
            "of": lambda one: one.comparison.claim.of,
            "data": lambda one: DATA[one.data],
            "above 0 if the claim holds": lambda one: one.comparison.text,
            "unit": lambda one: one.comparison.unit,
            "difference [95% t interval]": lambda one: interval(one.found),
            "seeds": lambda one: str(one.found.n),
            "holds": lambda one: one.verdict,
        },
    )


def headline(folder: Path) -> str:
    """One line for each claim and data set: how many comparisons say what."""
    rows, lines = answers(folder), []
    for claim in dict.fromkeys(one.comparison.claim for one in rows):
        of_claim = [one for one in rows if one.comparison.claim == claim]
        for data in dict.fromkeys(one.data for one in of_claim):
            said = summary([one.verdict for one in of_claim if one.data == data])
            lines.append(f"- **{claim.text[0].upper()}{claim.text[1:]}** ({claim.of}), {DATA[data]}: {said}.")
    return "\n".join(lines)


def summary(verdicts: Sequence[str]) -> str:
    """How many comparisons say what: "yes in 2 of 3 comparisons, no in 1"."""
    kinds = [NOT_DECIDED if one.startswith(NOT_DECIDED) else one for one in verdicts]
    counted = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    first, *others = (f"{kind} in {number}" for kind, number in counted.items())
    of_all = f" of {len(kinds)} comparison{'s' if len(kinds) > 1 else ''}"
    return ", ".join([first + of_all, *others])
