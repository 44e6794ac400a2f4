"""Mode coverage: which modes of the data the samples hit."""

from html import escape
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.markup import Gallery, figure, missing, not_applicable, panel, table
from vdm_jax.report.primitives.measured import measured
from vdm_jax.report.primitives.workdir import Workdir

READERS = {"exact": "the exact reader", "net": "the trained network"}
MAX_BARS = 64


def coverage_section(workdir: Workdir, gallery: Gallery) -> str:
    """Histograms of the features of the samples relative to the data, with tests of the counts."""
    coverage = workdir.evaluate.get("coverage")
    if why := workdir.reason("coverage"):
        return not_applicable(f"There is no mode coverage: {why}.")
    try:
        exact, net = (coverage["readers"][name]["histograms"] for name in READERS)
        drawn = {
            name: bars(name, exact[name], net[name])
            for name in exact
            if len(exact[name].get("counts", ())) in range(1, MAX_BARS + 1) and exact[name]["num_images"]
        }
        rows = [
            _row(name, reader, READERS[key])
            for name in exact
            for key, reader in (("exact", exact[name]), ("net", net[name]))
        ]
        words = _words(coverage)
    except (KeyError, TypeError, ValueError):
        return missing("There is no readable mode coverage in evaluate.json yet", "evaluate")
    slug = {name: name.replace(" ", "_") for name in drawn}
    panels = [panel(gallery.save(f"coverage_{slug[name]}", drawn[name]), alt=f"counts by {name}") for name in drawn]
    caption = (
        "Share of each mode among the samples that are sprites, divided by its share of the data (dashed: equal "
        "shares; grey band: two standard deviations for as many images of the data). Kind is shape x scale x "
        "orientation."
    )
    shown = figure(panels, caption) if panels else ""
    head = (
        "feature",
        "reader",
        "modes hit",
        "expected of data",
        "χ²",
        "p",
        "p, same reader",
        "KL, nats",
        "of data",
    )
    return f"<p>{escape(words)}</p>{shown}{table(head, rows, numbers=tuple(range(2, 9)))}"


def bars(name: str, exact: dict[str, Any], net: dict[str, Any]) -> Figure:
    """Counts of each mode over their expectation, by both readers."""
    shares = np.array(exact["shares"], np.float64)
    modes, number = np.where(shares > 0)[0], exact["num_images"]
    drawn, axes = style.panel(title=name, xlabel="mode", ylabel="share / the data's share")
    place, spread = np.arange(len(modes)), 2 * np.sqrt((1 - shares[modes]) / (number * shares[modes]))
    axes.fill_between(
        place, np.maximum(1 - spread, 0), 1 + spread, color=style.GREY, alpha=0.25, linewidth=0, step="mid"
    )
    axes.axhline(1, color=style.GREY, linewidth=1, linestyle="--")
    for counted, colour, offset, label in ((exact, style.BLUE, -0.2, "exact"), (net, style.VERMILLION, 0.2, "network")):
        values = np.array(counted["counts"], np.float64)[modes] / (number * shares[modes])
        axes.bar(place + offset, values, width=0.4, color=colour, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    style.legend(axes)
    return drawn


def _row(name: str, found: dict[str, Any], reader: str) -> list[str]:
    own = found.get("against_real") or {}
    hit = f"{found['num_hit']:,} of {found['num_modes']:,}"
    numbers = (found["num_hit_expected"], found["chi_square"], found["p_value"], own.get("p_value"))
    numbers += (found["kl_nats"], found["kl_expected_nats"])
    return [escape(name), escape(reader), hit, *map(measured, numbers)]


def _words(coverage: dict[str, Any]) -> str:
    """The number of samples, the share of sprites among them, and the errors of the network."""
    errors = ", ".join(f"{name} {error:.1%}" for name, error in coverage["net_errors"].items())
    return (
        f"{coverage['num_images']:,} samples by {coverage['num_sampling_steps']} steps of {coverage['sampler']}: "
        f"{coverage['not_a_sprite']:.1%} (± {coverage['not_a_sprite_standard_error']:.1%}) are not a sprite: they "
        f"differ from the nearest one in more than {coverage['sprite_tolerance']:.0%} of the pixels it covers. "
        f"{coverage['exactly_a_sprite']:.1%} equal a sprite in every pixel. The table counts sprites only. The exact "
        "reader finds the nearest of all images of the data and has no errors on these images. The network's error "
        f"rates on held-out sprites are {errors}; for any feature {coverage['net_any_error']:.1%}. Its errors move "
        "counts between modes and can make p small. The column “p, same reader” therefore tests its counts against its "
        "own counts of as many held-out sprites."
    )


COVERAGE = Section("coverage", "Mode coverage", coverage_section)
