"""The claims of Abstreiter et al. (2021) about their codes beside the records, paired seed by seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vdm_jax.base.statistics import Difference
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.representations.records import (
    DATA,
    NOT_DECIDED,
    NOT_RUN,
    Number,
    difference,
    number_of,
    runs_of,
    verdict,
)
from vdm_jax.report.published.table import DASH, interval, table

GRANULARITY = "the weighting chooses the granularity"
TIME = "E(x, t) holds more than E(x)"
DOWNSTREAM = "the code helps downstream"
KINDS = "DRL holds more than the VAE-VDM"
FACTORS = {"digits": ("class", "class"), "mnist14": ("class", "class"), "sprites": ("x", "scale")}  # coarse, fine


class Comparison(NamedTuple):
    """What a claim predicts: a difference that is above zero, `more` - `less` of one run."""

    claim: str
    text: str
    more: Number
    less: Number


class Judged(NamedTuple):
    """A comparison on one data set."""

    comparison: Comparison
    data: str
    found: Difference | None

    @property
    def verdict(self) -> str:
        """ "yes", "no", or why there is none."""
        return verdict(self.found)


def readout(code: str, factor: str, reader: str = "linear") -> Number:
    """Accuracy or R² of a readout."""
    return number_of("codes", "codes", code, "readouts", factor, reader)


def few(code: str, factor: str, labels: int) -> Number:
    """The score of a readout from so many labels a class."""
    return number_of("codes", "codes", code, "few_labels", factor, str(labels))


def rmse(code: str) -> Number:
    """The error of the best linear map from the code to pixels in [0, 1]."""
    return number_of("decoded", "linear", code, "reconstruction", "rmse")


def helps(run: str) -> Number:
    """What the code takes off the error of its denoiser on test images, nats."""
    return number_of("worth", "against_reference", run, "area")


def comparisons(data: str, runs: Sequence[Workdir]) -> list[Comparison]:
    """The comparisons of a data set."""
    (coarse, fine), width = FACTORS[data], _width(runs)
    pca, same_size = f"pca_{width}", f"drl_time@all_pca_{width}"
    of_coarse = f"linear readout of {coarse}: trained on log SNR below 0, less on log SNR from 0 on"
    of_fine = "error of the best linear map to pixels: trained on log SNR below 0, less from 0 on"
    found = [
        Comparison(GRANULARITY, of_coarse, readout("drl_low", coarse), readout("drl_high", coarse)),
        Comparison(GRANULARITY, of_fine, rmse("drl_low"), rmse("drl_high")),
    ]
    if fine != coarse:
        of_fine = f"linear readout of {fine}: trained on log SNR from 0 on, less below 0"
        found.append(Comparison(GRANULARITY, of_fine, readout("drl_high", fine), readout("drl_low", fine)))
    both = f"linear readout of {fine}: five times together"
    found += [
        Comparison(
            TIME, f"{both}, less E(x) of as many numbers", readout("drl_time@all", fine), readout("drl_wide", fine)
        ),
        Comparison(TIME, f"{both} as {width} components, less E(x)", readout(same_size, fine), readout("drl", fine)),
        Comparison(TIME, "taken off the denoiser's error, nats: E(x, t), less E(x)", helps("drl_time"), helps("drl")),
    ]
    for name, words in ((pca, "as many principal components"), ("pixels", "pixels"), ("untrained_drl", "untrained")):
        text = f"{fine} from 10 labels a class: DRL, less {words}"
        found.append(Comparison(DOWNSTREAM, text, few("drl", fine, 10), few(name, fine, 10)))
    for name, words in (("vae_vdm", "VAE-VDM, beta 1"), ("target", "VAE-VDM, rate target")):
        text = f"linear readout of {fine}: DRL, less {words}"
        found.append(Comparison(KINDS, text, readout("drl", fine), readout(name, fine)))
    return found


def _width(runs: Sequence[Workdir]) -> int:
    """The numbers of one code; 16 where nothing is run."""
    found = [number for run in runs[:1] for number in [run.record("codes")["codes"].get("drl", {}).get("about", {})]]
    return int(found[0].get("width", 16)) if found else 16


def answers(folder: Path) -> list[Judged]:
    """Every comparison on every data set."""
    found = []
    for data in DATA:
        runs = runs_of(folder, data)
        found += [Judged(one, data, difference(runs, one.more, one.less)) for one in comparisons(data, runs)]
    return found


def verdict_table(folder: Path) -> str:
    """One row for each comparison that is run, and one for each data set that is not."""
    rows = answers(folder)
    run = [one for one in rows if one.found is not None]
    left = [data for data in DATA if not any(one.data == data for one in run)]
    text = table(
        run,
        {
            "claim": lambda one: one.comparison.claim,
            "data": lambda one: DATA[one.data],
            "above 0 if the claim holds": lambda one: one.comparison.text,
            "difference [95%]": lambda one: interval(one.found),
            "seeds": lambda one: str(one.found.n),
            "holds": lambda one: one.verdict,
        },
    )
    return text + "".join(f"\n| {DASH} | {DATA[data]} | {DASH} | {DASH} | 0 | {NOT_RUN} |" for data in left)


def headline(folder: Path) -> str:
    """One line for each claim: on which data sets it holds, fails, or is not decided."""
    lines = []
    rows = answers(folder)
    for claim in dict.fromkeys(one.comparison.claim for one in rows):
        by_data = {
            data: [one.verdict for one in rows if (one.comparison.claim, one.data) == (claim, data)] for data in DATA
        }
        said = "; ".join(f"{DATA[data]}: {summary(verdicts)}" for data, verdicts in by_data.items())
        lines.append(f"- {claim[0].upper()}{claim[1:]}? {said}.")
    return "\n".join(lines)


def summary(verdicts: Sequence[str]) -> str:
    """Of several comparisons: "yes" or "no" where all say so, how many say what otherwise."""
    kinds = [NOT_DECIDED if one.startswith(NOT_DECIDED) else one for one in verdicts]
    if len(set(kinds)) == 1:
        return kinds[0]
    return ", ".join(f"{kind} {kinds.count(kind)} of {len(kinds)}" for kind in dict.fromkeys(kinds))
