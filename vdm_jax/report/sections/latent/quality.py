"""How good decoded samples are by sampler, number of steps, their times, and the start of the chain."""

import math
from html import escape
from typing import Any

from vdm_jax.report.page import Section
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel, table
from vdm_jax.report.primitives.measured import entry, measured, plain
from vdm_jax.report.primitives.quality_figures import KL, Row, chosen, lines_of, score_figure, shown_scores
from vdm_jax.report.primitives.workdir import Workdir

NO_QUALITY = missing("There is no readable quality.json yet (config.quality.samplers names what is sampled)", "quality")
BARS = (
    "Bars: ± 2 standard errors over evaluation seeds. Dashed: the score of a perfect model, by decoded latents of test "
    "images; of KLs, which fall with the number of images, by as many images of the data."
)
CAPTIONS = {
    "samplers": "Scores by sampler, with steps at even times from noise.",
    "times": (
        "Where the steps are spent. time: at even times of the model's schedule; logsnr: at even log SNR; cosine: at "
        "the noise levels of a cosine schedule; information: each step loses the same part of what z_t says of the "
        "features."
    ),
    "starts": (
        "Where chains start. noise: N(0, I) at t = 1; gaussian and mixture: z_t at the edge of the features, from a "
        "Gaussian with its mean and covariance or a mixture of Gaussians fitted there. Steps before it are not made."
    ),
}
HEAD = ("sampler", "steps", "times", "start", "evaluations", "starts at")
LEGEND = (
    "± one standard error over evaluation seeds. Evaluations: of the network. No sprite: images that differ from the "
    "nearest sprite in too many pixels. KL: of the histogram of the generated sprites to that of the data; as many "
    "images of the data have the one in brackets."
)
AGAINST = (
    "Chains from the edge of the features less those from noise with the same sampler and times: evaluations saved and "
    "what they cost (positive: worse). Standard errors of the two are added in quadrature."
)


def quality_section(workdir: Workdir, gallery: Gallery) -> str:
    """Figures of samplers, times and starts; the table of all samplings; what a start at the edge saves and costs."""
    record = workdir.quality
    try:
        rows = list(record["samplings"].values())
        groups = {
            "samplers": lines_of(
                [row for row in rows if (row["times"], row["start"]) == ("time", "noise")], ("sampler",)
            ),
            "times": lines_of(chosen(rows, "times"), ("sampler", "times")),
            "starts": lines_of(chosen(rows, "start"), ("sampler", "start")),
        }
        figures = [_figures(name, lines, record["codes"], gallery) for name, lines in groups.items() if lines]
        tables = _samplings(record, rows) + _against_noise(rows)
        where = _where(record)
    except (KeyError, TypeError, ValueError, AttributeError):
        return NO_QUALITY
    return f"<p>{escape(where)}</p>{''.join(figures)}{tables}"


def _where(record: dict[str, Any]) -> str:
    """What was sampled, from which weights, and where the edge of the features is."""
    found = f"{record['num_images']:,} images of each of {record['num_seeds']} evaluation seeds"
    found += f", step {record['checkpoint_step']:,}, {record['weights']} weights."
    if edge := record.get("edge"):
        found += f" The edge of the features is at timestep {plain(edge['timestep'])}, log SNR {edge['logsnr']:.2f}: "
        found += "at most 5% of any of them remain there."
    return found


def _figures(name: str, lines: dict[str, list[Row]], codes: Row, gallery: Gallery) -> str:
    """A panel for each score."""
    titles = shown_scores([row for rows in lines.values() for row in rows])
    panels = [
        panel(gallery.save(f"quality_{name}_{i}", score_figure(title, lines, codes)), alt=f"{title}, {name}")
        for i, title in enumerate(titles)
    ]
    return figure(panels, f"{CAPTIONS[name]} {BARS}")


def _samplings(record: dict[str, Any], rows: list[Row]) -> str:
    """Every sampling, and decoded latents of test images."""
    scores = shown_scores([*rows, record["codes"]])
    cells = [
        [
            *(escape(str(row[key])) for key in ("sampler", "num_steps", "times", "start", "evaluations")),
            plain(row["first_timestep"]),
            *(_score(row, place) for place in scores.values()),
        ]
        for row in rows
    ]
    cells.append(["latents of test images", *[""] * 5, *(_score(record["codes"], place) for place in scores.values())])
    head = [*HEAD, *scores]
    return table(head, cells, numbers=(1, *range(4, len(head)))) + f"<p>{escape(LEGEND)}</p>"


def _score(row: Row, place: tuple[str, ...]) -> str:
    text = measured(*entry(row, *place)[:2])
    expected = entry(row, *place[:-1], "kl_expected_nats")[0] if place[-1] == KL else None
    return text if expected is None else f"{text} ({plain(expected)})"


def _against_noise(rows: list[Row]) -> str:
    """Each start at the edge against noise."""
    scores, cells = shown_scores(rows), []
    from_noise = {(row["sampler"], row["num_steps"], row["times"]): row for row in rows if row["start"] == "noise"}
    for row in rows:
        other = from_noise.get((row["sampler"], row["num_steps"], row["times"]))
        if other is None or row is other:
            continue
        saved = other["evaluations"] - row["evaluations"]
        own = [escape(str(row[key])) for key in ("sampler", "num_steps", "start")]
        cells.append(
            [*own, f"{saved} ({saved / other['evaluations']:.0%})", *_differences(row, other, scores.values())]
        )
    if not cells:
        return ""
    head = ["sampler", "steps", "start", "evaluations saved", *scores]
    return table(head, cells, numbers=(1, *range(3, len(head)))) + f"<p>{escape(AGAINST)}</p>"


def _differences(row: Row, other: Row, places) -> list[str]:
    """Row less other."""
    found = []
    for place in places:
        (mine, error, _), (its, its_error, _) = entry(row, *place), entry(other, *place)
        known = mine is not None and its is not None
        sure = error is not None and its_error is not None
        found.append(measured(mine - its if known else None, math.hypot(error, its_error) if sure else None))
    return found


LATENT_QUALITY = Section("quality", "Quality by sampling", quality_section)
