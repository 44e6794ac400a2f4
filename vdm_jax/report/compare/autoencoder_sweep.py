"""The table and the figures of a sweep of autoencoders, from the files of its workdirs alone."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from vdm_jax.base.files import write_file, write_json, write_text
from vdm_jax.report.compare.study import Measured, Setting, read_settings, table_of
from vdm_jax.report.compare.sweep import markdown, numbers
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.autoencoder_names import num_latents
from vdm_jax.report.primitives.plane import rate_distortion_plane

BETTER = (
    "Squared error: summed over an image, pixels in [0, 1]. Lower is better for it, D + R and holes, higher for prior "
    "samples on data, readouts and disentanglement. Bounds of different likelihoods are no contest"
)
AGAINST_LATENTS: dict[str, tuple[str, str, str, bool]] = {  # title, unit, key, logarithmic
    "reconstruction": ("Reconstruction", "squared error, summed over an image", "reconstruction_sum", True),
    "on_data": (
        "Prior samples on the data",
        "share of decoded draws",
        "prior_samples_on_data",
        False,
    ),
}


def write_autoencoder_sweep(folder: str | Path, runs: Mapping[str, Path], missing: Mapping[str, str]) -> str:
    """Writes sweep.md, sweep.json, and of sweep_reconstruction.png, sweep_on_data.png and sweep_rate.png those that
    have numbers, into `folder`. Returns the text of sweep.md.

    Args:
        runs: name -> workdir of each evaluated run.
        missing: name -> reason, of each run without numbers.
    """
    folder, settings = Path(folder), read_settings(runs.values())
    text = markdown(settings, [table_of(settings)], BETTER, missing)
    write_json(folder / "sweep.json", numbers(settings, runs, missing))
    pictures = ""
    for name, (drawn, alt) in figures_of(settings).items():
        path = folder / f"sweep_{name}.png"
        if drawn is None:
            path.unlink(missing_ok=True)
            continue
        png = style.to_png(drawn)
        write_file(path, lambda file, png=png: file.write(png))
        pictures += f"![{alt}]({path.name})\n"
    text_and_pictures = f"{text}\n{pictures}" if pictures else text
    write_text(folder / "sweep.md", text_and_pictures)
    return text


def figures_of(settings: Sequence[Setting]) -> dict[str, tuple[Figure | None, str]]:
    """Name -> (figure, what it shows); None where no setting has its numbers."""
    found: dict[str, tuple[Figure | None, str]] = {
        name: (against_latents(settings, title, unit, key, logarithmic=logarithmic), f"{title} against latents")
        for name, (title, unit, key, logarithmic) in AGAINST_LATENTS.items()
    }
    return found | {"rate": (plane(settings), "rate and distortion")}


def family(setting: Setting) -> str:
    """The name of a setting without its number of latents: "vae-256,beta=4" -> "vae,beta=4"."""
    latents = num_latents(setting.runs[0])
    return setting.name if latents is None else re.sub(rf"-{latents}(?!\d)", "", setting.name, count=1)


def against_latents(
    settings: Sequence[Setting], title: str, unit: str, key: str, *, logarithmic: bool
) -> Figure | None:
    """A number against the number of latents, one line for each family of settings that differ in that alone. Bars are
    ± one standard error. None where no setting has the number."""
    lines: dict[str, list[tuple[int, Measured]]] = {}
    for setting in settings:
        latents = num_latents(setting.runs[0])
        number = setting.measured(key)
        if latents and number is not None and np.isfinite(number.mean):
            lines.setdefault(family(setting), []).append((latents, number))
    if not lines:
        return None
    size = (7.4, max(4.1, 1.2 + 0.17 * len(lines)))
    drawn, axes = style.panel(title=title, xlabel="number of latents", ylabel=unit, size=size)
    for i, (name, points) in enumerate(lines.items()):
        points.sort(key=lambda point: point[0])
        colour, marker = (
            style.CLASS_COLOURS[i % len(style.CLASS_COLOURS)],
            style.CLASS_MARKERS[i % len(style.CLASS_MARKERS)],
        )
        means, errors = np.array([(m.mean, np.nan_to_num(m.error)) for _, m in points], np.float64).T
        look = dict(color=colour, marker=marker, markersize=6, markerfacecolor="none", linewidth=1.2, elinewidth=1.0)
        axes.errorbar([latents for latents, _ in points], means, yerr=errors, label=name, **look)
    sizes = sorted({latents for points in lines.values() for latents, _ in points})
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{latents:,}" for latents in sizes], fontsize=9)
    if logarithmic and all(number.mean > 0 for points in lines.values() for _, number in points):
        axes.set_yscale("log")
    elif not logarithmic:
        axes.set_ylim(-0.03, 1.03)
    kinds = {number.over for points in lines.values() for _, number in points}
    over = " or ".join(words for kind, words in {"seeds": "seeds", "images": "images"}.items() if kind in kinds)
    look = dict(frameon=False, fontsize=8, labelcolor=style.INK, title_fontsize=8, alignment="left")
    drawn.legend(loc="outside right upper", title=f"± one standard error\nover {over}", **look)
    return drawn


def plane(settings: Sequence[Setting]) -> Figure | None:
    """Settings with a rate and a distortion in their plane; None where there is none."""
    points = []
    for setting in settings:
        rate, distortion = setting.measured("rate_nats"), setting.measured("negative_log_likelihood")
        if rate is not None and distortion is not None:
            points.append((setting.name, rate, distortion))
    if not points:
        return None
    found = np.array([(r.mean, d.mean, r.error, d.error) for _, r, d in points], np.float64).reshape(-1, 4)
    kinds = {distortion.over for _, _, distortion in points}
    over = " or ".join(words for kind, words in {"seeds": "seeds", "images": "test images"}.items() if kind in kinds)
    return rate_distortion_plane([name for name, *_ in points], *found.T, errors=f"± one standard error\nover {over}")
