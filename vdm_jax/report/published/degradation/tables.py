"""Tables of results/degradation: what D does, restorations, and generated sets by degradation, noise, method and start.

The records are STEM-SEED/, such as digits-blur-noise-0; stems are DATA-DEGRADATION, with -noise and -noise2 for noise.
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vdm_jax.base.statistics import paired_difference
from vdm_jax.report.compare.study import Setting
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.table import DASH, interval, mean, number, table, values

DEGRADATIONS = {"blur": "blur", "pixelate": "pixelate", "fade": "fade", "mask": "mask"}
NOISE = {"": "0", "-noise": "1", "-noise2": "2"}
CHAIN = 25  # steps of all sets
SETS = {  # title -> name of the set in evaluate.json
    "naive, data": f"naive:{CHAIN}:data",
    "improved, data": f"improved:{CHAIN}:data",
    "naive, mixture": f"naive:{CHAIN}:mixture",
    "improved, Gaussian": f"improved:{CHAIN}:gaussian",
    "improved, mixture": f"improved:{CHAIN}:mixture",
    "ancestral, mixture": f"ancestral:{CHAIN}:mixture",
}
NAIVE, IMPROVED, GENERATED = SETS["naive, data"], SETS["improved, data"], SETS["improved, mixture"]
FRECHET, COVERED, DISTINCT = ("frechet", "distance"), ("diversity", "covered"), ("diversity", "distinct")
OF_MODES = ("coverage", "readers", "exact", "histograms")
Column = Callable[[Setting], str]


def settings(folder: Path, data: str) -> dict[str, Setting]:
    """The settings of a data set that have records, by stem; runs in the order of their seeds."""
    found = {}
    for name in DEGRADATIONS:
        for word in NOISE:
            runs = sorted(folder.glob(f"{data}-{name}{word}-[0-9]"))
            if runs:
                found[f"{name}{word}"] = Setting(name, tuple(map(Workdir, runs)))
    return found


def noise_of(one: Setting) -> str:
    """sigma_1."""
    return f"{one.runs[0].config['degradation']['noise']:g}"


def head(seeds: bool = True) -> dict[str, Column]:
    """The columns that name a setting."""
    names: dict[str, Column] = {"degradation": lambda one: one.name, "σ₁": noise_of}
    return names | ({"seeds": lambda one: str(len(one.runs))} if seeds else {})


def by_set(data: str, place: tuple[str, ...], real: tuple[str, ...], folder: Path) -> str:
    """A number of every set: one row for each setting, one column for each method and start. real: that of real
    images."""
    columns = {title: mean("sets", name, *place) for title, name in SETS.items()}
    last = {"real images": lambda one: number(float(values(one, "sets", GENERATED, *real)[0]))}  # the same of all
    return table(list(settings(folder, data).values()), head() | columns | last)


def sprites_table(folder: Path) -> str:
    """What sprites the generated sets show: one row for each setting and set."""
    rows = [
        (one, title, name)
        for one in settings(folder, "sprites").values()
        for title, name in SETS.items()
        if name in one.runs[0].evaluate["sets"]
    ]

    def share(*place: str) -> Callable:
        return lambda row: mean("sets", row[2], *place)(row[0])

    def hit(histogram: str) -> Callable:
        def cell(row) -> str:
            place = ("sets", row[2], *OF_MODES, histogram)
            one, expected = (values(row[0], *place, name) for name in ("num_hit", "num_hit_expected"))
            return DASH if one is None else f"{one.mean():.0f} of {expected.mean():.0f}"

        return cell

    return table(
        rows,
        {
            "degradation": lambda row: row[0].name,
            "σ₁": lambda row: noise_of(row[0]),
            "method, start": lambda row: row[1],
            "images": share("num_images"),
            "no sprite": share("coverage", "not_a_sprite"),
            "distinct": share(*DISTINCT),
            "kinds hit": hit("kind"),
            "kinds and places hit": hit("kind and place"),
            "Fréchet": share(*FRECHET),
            "Fréchet N": share("frechet", "num_images"),
            "… of N real sprites": share("frechet", "real_vs_real_floor"),
            "covered": share(*COVERED),
            "covered by real": share("diversity", "covered_by_real"),
        },
    )


def properties_table(data: str, folder: Path) -> str:
    """What is known of D without training, of seed 0; the noise does not count."""
    runs = [(name, Workdir(folder / f"{data}-{name}-0").record("properties")) for name in (*DEGRADATIONS, "shift")]

    def at_end(key: str) -> Callable:
        return lambda row: number(row[1]["by_time"][key][-1])

    return table(
        [row for row in runs if row[1]],
        {
            "D": lambda row: row[0],
            "D(x, 0) − x": lambda row: number(row[1]["identity"]),
            "departure from linear": lambda row: f"{row[1]['linearity']:.0e}",
            "departure from composing, mean": lambda row: f"{row[1]['composition']['mean']:.4f}",
            "… largest": lambda row: f"{row[1]['composition']['worst']:.4f}",
            "images distinct at t = 1": at_end("distinct"),
            "variance left at t = 1": at_end("variance"),
            "displacement that depends on x, at t = 1": at_end("own_displacement"),
        },
    )


def restoration_table(folder: Path) -> str:
    """Errors of R and of chains from D(x, 1) of test images of the digits."""

    def at(key: str, i: int) -> Column:
        return lambda one: _over_seeds(one, lambda run: run["restoration"][key][i])

    def chain(method: str, i: int) -> Column:
        return lambda one: _over_seeds(one, lambda run: run["chains"][method][i])

    columns: dict[str, Column] = {"R at t = 1/T": at("restored", 0), "R at t = 1": at("restored", -1)}
    columns |= {f"{method}, {CHAIN} steps": chain(method, -1) for method in ("naive", "improved")}
    shift = Workdir(folder / "digits-shift-0")
    rows = list(settings(folder, "digits").values())
    return table([*rows, *([Setting("shift", (shift,))] if shift.evaluate else [])], head() | columns)


def again_table(folder: Path) -> str:
    """What a second round does on test images of the digits: D of restored images against D(x, t), and R of that."""
    columns: dict[str, Column] = {}
    for key, title in {"consistency": "D(R, t) − D(x, t)", "idempotence": "R(D(R, t)) − R"}.items():
        columns |= {
            f"{title}, t = 1/T": lambda one, key=key: _over_seeds(one, lambda run: run["restoration"][key][0]),
            f"{title}, largest over t": lambda one, key=key: _over_seeds(one, lambda run: max(run["restoration"][key])),
            f"{title}, t = 1": lambda one, key=key: _over_seeds(one, lambda run: run["restoration"][key][-1]),
        }
    return table(list(settings(folder, "digits").values()), head() | columns)


def _over_seeds(one: Setting, read: Callable[[dict], float]) -> str:
    found = np.array([read(run.evaluate) for run in one.runs], np.float64)
    return number(float(found.mean()), found.std(ddof=1) / math.sqrt(len(found)) if len(found) > 1 else math.nan)


def difference(ours: Setting, theirs: Setting, our_place: tuple[str, ...], their_place: tuple[str, ...]) -> str:
    """ours - theirs, mean and 95% t interval over the seeds that both have; of one seed the mean alone."""
    common = [seed for seed in ours.seeds if seed in theirs.seeds]
    if not common or any(values(one, *place) is None for one, place in ((ours, our_place), (theirs, their_place))):
        return DASH
    a, b = (
        np.array([dict(zip(one.seeds, values(one, *place), strict=True))[seed] for seed in common])
        for one, place in ((ours, our_place), (theirs, their_place))
    )
    found = interval(paired_difference(a, b, "seeds"))
    return found if len(common) > 2 else f"{found} (one seed, not decided)"


def comparisons_table(folder: Path) -> str:
    """What each choice changes of the Fréchet distance and of the coverage of the digits, paired by seeds."""
    found = settings(folder, "digits")
    rows = []
    for stem, one in found.items():
        rows += [
            (one, "improved, not naive, from data", one, IMPROVED, one, NAIVE),
            (one, "mixture, not Gaussian, improved", one, GENERATED, one, SETS["improved, Gaussian"]),
            (one, "mixture, not data, improved", one, GENERATED, one, IMPROVED),
        ]
        name, _, word = stem.partition("-")
        if word and name in found:
            best = SETS["ancestral, mixture"]
            rows += [
                (one, "noise, improved from mixture", one, GENERATED, found[name], GENERATED),
                (one, "noise and ancestral, not improved without", one, best, found[name], GENERATED),
            ]

    def change(place: tuple[str, ...]) -> Callable:
        return lambda row: difference(row[2], row[4], ("sets", row[3], *place), ("sets", row[5], *place))

    return table(
        rows,
        {
            "degradation": lambda row: row[0].name,
            "σ₁": lambda row: noise_of(row[0]),
            "what is changed": lambda row: row[1],
            "Fréchet [95% interval]": change(FRECHET),
            "covered [95% interval]": change(COVERED),
        },
    )
