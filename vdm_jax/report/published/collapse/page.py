"""results/collapse: does a code pay for itself? Thirteen settings of its rate, and what makes it cost more than it
saves."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.base.statistics import paired_difference
from vdm_jax.report.compare.paired import bound_over_images
from vdm_jax.report.compare.study import Setting
from vdm_jax.report.primitives.image_figures import guided_figure
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published import costs
from vdm_jax.report.published.collapse import causes, claims, studies
from vdm_jax.report.published.collapse.answers import answers_table
from vdm_jax.report.published.collapse.blog import blog
from vdm_jax.report.published.collapse.differences import difference_figure
from vdm_jax.report.published.collapse.headline import headline
from vdm_jax.report.published.collapse.optional import SECTIONS
from vdm_jax.report.published.collapse.rate_draws import rate_draws
from vdm_jax.report.published.page import Page
from vdm_jax.report.published.settings import settings
from vdm_jax.report.published.table import (
    DASH,
    between,
    difference_over_seeds,
    each,
    interval,
    mean,
    number,
    table,
    values,
)

SEEDS, SEEDS_28 = (0, 1, 2), (0, 1)
WITH_IMAGES = ("unconditional", "beta1", "free_bits", "target")  # trained once more, with the bound of each image
ALIVE = ("target", "target_learned_prior", "free_bits")
AT_28 = ("beta1", "beta1e4", "target", "unconditional")


def main_table(data: str, folder: Path, stems: Sequence[str] | None = None) -> str:
    """Every setting compared with the model without a code, paired seed by seed. stems: of the settings; None: all."""
    found = settings(folder / data, SEEDS, *([stems] if stems else []))
    none = found["unconditional"]

    def above(one: Setting) -> str:
        if one is none:
            return f"0 (D + R = {mean('bound_nats')(one)})"
        return interval(difference_over_seeds(one, none, "bound_nats"))

    def over_images(one: Setting) -> str:
        found = bound_over_images(one, none)
        return DASH if one is none or found is None else f"{float(found.error):.2f}"

    has_images = bound_over_images(none, none) is not None

    def saved(one: Setting) -> str:
        return DASH if one is none else interval(costs.saving_over_seeds(one, none).area)

    columns = {
        "setting": lambda one: one.name,
        "D + R above no code, nats [95% interval]": above,
        **({"… ± over test images": over_images} if has_images else {}),
        "D, nats": mean("distortion_nats"),
        "R, nats": mean("encoder_kl_nats"),
        "I(x; w), nats, between bounds": information,
        "active units of 16": mean("active_units"),
        "linear classifier on w, accuracy": mean("linear_probe_accuracy"),
        "label kept, share": mean("guided_label_kept"),
        "saved by w, nats [95% interval]": saved,
    }
    rows = sorted(found.values(), key=lambda one: float(values(one, "bound_nats").mean()))
    return table(rows, columns)


def information(one: Setting) -> str:
    """The mean bounds of I(x; w), nats; R is an upper bound as well."""
    lower, upper, rate = (values(one, key) for key in ("mi_lower_nats", "mi_upper_nats", "encoder_kl_nats"))
    if lower is None or upper is None or rate is None:
        return DASH
    low, high = max(0.0, lower.mean()), max(0.0, min(upper.mean(), rate.mean()))
    texts = [f"{low:.2f}", f"{high:.2f}"]
    return texts[0] if texts[0] == texts[1] or high < low else " to ".join(texts)


def frechet_table(data: str, seeds: tuple[int, ...], folder: Path) -> str:
    """Both draws of samples in the records compared with the empty code of beta 10,000."""
    found = settings(folder / data, seeds, stems=ALL_28 if data == "mnist28" else tuple(ALL))
    empty = found["beta1e4"]

    def beside(key: str) -> Callable[[Setting], str]:
        def cell(one: Setting) -> str:
            if one is empty or values(one, key, "distance") is None:
                return DASH
            if len(seeds) < 3:
                a, b = values(one, key, "distance"), values(empty, key, "distance")
                return ", ".join(f"{gap:.2f}" for gap in a - b)
            return interval(difference_over_seeds(one, empty, key, "distance"))

        return cell

    error = "[95% interval]" if len(seeds) > 2 else "seeds 0, 1"
    shown = mean if len(seeds) > 2 else functools.partial(each, digits=2)  # two seeds have no error
    columns = {
        "setting": lambda one: one.name,
        "w from the prior": shown("frechet", "distance"),
        f"… minus the empty code, {error}": beside("frechet"),
        "w of test images": shown("frechet_aggregate", "distance"),
        f"… minus the empty code's, {error}": beside("frechet_aggregate"),
    }
    return table(list(found.values()), columns)


ALL = ("unconditional", "beta1", "beta1e4", "warmup", "cyclical", "high_noise", "free_bits", "target")
ALL_28 = ("unconditional", "beta1", "beta1e4", "target")


def table_28(folder: Path) -> str:
    """The four settings at 28x28, each seed compared with its empty code, paired over 1,000 test images."""
    found = settings(folder / "mnist28", SEEDS_28, AT_28)

    def beside(other: Setting) -> Callable[[Setting], str]:
        def cell(one: Setting) -> str:
            if one is other:
                return "0"
            pairs = zip(one.runs, other.runs, strict=True)
            gaps = [costs.bound_over_images(*pair) for pair in pairs]
            return "; ".join(number(float(gap.mean), float(gap.error)) for gap in gaps)

        return cell

    columns = {
        "setting": lambda one: one.name,
        "D + R, nats: seed 0, seed 1": each("bound_nats"),
        "above beta 10,000, nats: seed 0; seed 1 (± over images)": beside(found["beta1e4"]),
        "above no code, nats: seed 0; seed 1 (± over images)": beside(found["unconditional"]),
        "D, nats: seed 0, seed 1": each("distortion_nats"),
        "R, nats": each("encoder_kl_nats", digits=2),
        "I(x; w), nats, between bounds": between("mi_lower_nats", "mi_upper_nats"),
        "linear classifier on w, accuracy": each("linear_probe_accuracy", digits=3),
        "label kept, share": each("guided_label_kept", digits=3),
    }
    return table(list(found.values()), columns)


def baselines(folder: Path) -> str:
    """Linear classifiers of other representations of 16 dimensions, and real against real images."""
    rows = [("MNIST 14x14", "mnist14", SEEDS), ("digits 8x8", "digits", SEEDS), ("MNIST 28x28", "mnist28", SEEDS_28)]

    def cell(*place: str) -> Callable[[tuple], str]:
        def text(row: tuple) -> str:
            one = settings(folder / row[1], row[2], ("target",))["target"]
            return (mean if len(row[2]) > 2 else functools.partial(each, digits=3))(*place)(one)

        return text

    columns = {
        "data": lambda row: row[0],
        "raw pixels": lambda row: cell("linear_probe_accuracy_raw_pixels")(row).split(",")[0],
        "16 principal components": lambda row: cell("linear_probe_accuracy_pca")(row).split(",")[0],
        "random projection": lambda row: cell("linear_probe_accuracy_random_projection")(row).split(",")[0],
        "untrained encoder": cell("linear_probe_accuracy_untrained"),
        "Fréchet distance, real against real": lambda row: cell("frechet", "real_vs_real_floor")(row).split(",")[0],
    }
    return table(rows, columns)


def decomposition(folder: Path) -> str:
    """Where the nats of a code under a rate target of 10 go: R = mismatch + not read by the decoder + saved."""
    rows = []
    for name, data in (("MNIST 14x14", "mnist14"), ("digits 8x8", "digits")):
        found = settings(folder / data, SEEDS, ("target", "unconditional"))
        rate, upper = values(found["target"], "encoder_kl_nats"), values(found["target"], "mi_upper_nats")
        saved = values(found["unconditional"], "bound_nats") - values(found["target"], "distortion_nats")
        zero = np.zeros_like(rate)
        mismatch = np.maximum(rate - upper, 0.0)
        lower = values(found["target"], "mi_lower_nats")
        rows.append(
            (name, *(interval(paired_difference(each, zero, "seeds")) for each in (rate, saved)),
             f"{mismatch.mean():.1f}", f"{max(0.0, (lower - saved).mean()):.1f}")
        )  # fmt: skip
    titles = (
        "data",
        "R, nats [95% interval]",
        "D saved compared with no code, nats [95% interval]",
        "R - I(x; w), at least, nats: prior mismatch",
        "I(x; w) - D saved, at least, nats: in the code, no use to the decoder",
    )
    return table(rows, {title: lambda row, i=i: row[i] for i, title in enumerate(titles)})


def cost_seeds(data: str, title: str, folder: Path) -> Figure:
    """Costs of every setting but that without KL."""
    found = settings(folder / data, SEEDS)
    stems = [stem for stem in found if stem not in ("unconditional", "none")]
    return costs.cost_figure(costs.cost_rows(found, stems, "unconditional"), title=title, against="no code")


def cost_28(folder: Path) -> Figure:
    """Costs above the empty code at 28x28, seed by seed, intervals over test images."""
    found = settings(folder / "mnist28", SEEDS_28, AT_28)
    rows = []
    for stem in ("beta1", "target", "unconditional"):
        for seed, pair in enumerate(zip(found[stem].runs, found["beta1e4"].runs, strict=True)):
            rows.append((f"{found[stem].name}, seed {seed}", costs.bound_over_images(*pair), []))
    title = "MNIST 28x28: cost above an empty code"
    return costs.cost_figure(rows, title=title, against="beta 10,000 of the same seed")


def savings_seeds(data: str, title: str, folder: Path) -> Figure:
    """Savings of the settings whose code holds more than 5 nats and has a KL."""
    found = settings(folder / data, SEEDS)
    savings = {found[stem].name: costs.saving_over_seeds(found[stem], found["unconditional"]) for stem in ALIVE}
    return costs.saving_figure(savings, title=title, against="no code")


def savings_28(folder: Path) -> Figure:
    """Savings compared with the empty code at 28x28, seed by seed."""
    found = settings(folder / "mnist28", SEEDS_28, AT_28)
    savings: dict[str, costs.Saving] = {}
    for stem in ("target", "beta1"):
        for seed, pair in enumerate(zip(found[stem].runs, found["beta1e4"].runs, strict=True)):
            savings[f"{found[stem].name}, seed {seed}"] = costs.saving_over_images(*pair)
    return costs.saving_figure(savings, title="MNIST 28x28: what a code saves", against="beta 10,000")


def guided(run: str, folder: Path) -> Figure:
    """Images from the codes of test images."""
    arrays: Mapping[str, np.ndarray] = Workdir(folder / run).arrays("samples/guided.npz", "source", "generated")
    return guided_figure(arrays["source"], arrays["generated"])


part = functools.partial
PAGE = Page(
    "collapse",
    tables={
        "headline": headline,
        "answers": answers_table,
        "blog": blog,
        "causes": claims.causes,
        "decoders-digits": part(causes.decoder_table, studies.DECODERS),
        **SECTIONS,
        "mnist14": part(main_table, "mnist14"),
        "mnist14-images": part(main_table, "mnist14-images", stems=WITH_IMAGES),
        "digits": part(main_table, "digits"),
        "rate-draws": part(rate_draws, "digits-learned-prior"),
        "digits-images": part(main_table, "digits-images", stems=WITH_IMAGES),
        "mnist28": table_28,
        "decomposition": decomposition,
        "baselines": baselines,
        "frechet14": part(frechet_table, "mnist14", SEEDS),
        "frechet-digits": part(frechet_table, "digits", SEEDS),
        "frechet28": part(frechet_table, "mnist28", SEEDS_28),
    },
    figures={
        "figures/differences.png": difference_figure,
        "figures/cost-14.png": part(cost_seeds, "mnist14", "MNIST 14x14: what a code costs"),
        "figures/cost-digits.png": part(cost_seeds, "digits", "8x8 digits: what a code costs"),
        "figures/cost-28.png": cost_28,
        "figures/code-14.png": part(savings_seeds, "mnist14", "MNIST 14x14: what a code saves"),
        "figures/code-digits.png": part(savings_seeds, "digits", "8x8 digits: what a code saves"),
        "figures/code-28.png": savings_28,
        "figures/guided-14.png": part(guided, "mnist14/target-0"),
        "figures/guided-28.png": part(guided, "mnist28/target-0"),
    },
)
