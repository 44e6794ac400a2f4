"""The table of a sweep of latent diffusion models: each beside the simpler models of its latents."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.base.files import write_json
from vdm_jax.report.compare.study import Measured, Setting, read_settings
from vdm_jax.report.compare.sweep import markdown, numbers, with_figure
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.latent_models import COLUMNS, EXPLAINED, MODELS, P_VALUES, TABLE

BETTER = f"Lower is better, but for kinds hit and p, which is the largest of the seeds. {EXPLAINED.rstrip('.')}"


def write_latent_sweep(folder: str | Path, runs: Mapping[str, Path], missing: Mapping[str, str]) -> str:
    """Writes sweep.md, sweep.json and sweep.png into `folder`. Returns the text of sweep.md.

    Args:
        runs: name -> workdir of each evaluated member.
        missing: name -> reason, of each member without numbers.
    """
    folder, settings = Path(folder), read_settings(runs.values())
    text = markdown(settings, [models_table(settings)], BETTER, missing)
    write_json(folder / "sweep.json", numbers(settings, runs, missing))
    return with_figure(folder, text, ratios_figure(settings), "loss over that of the best linear denoiser")


def models_table(settings: Sequence[Setting]) -> str:
    """The Markdown table, for each setting one row a model of its latents. Columns without numbers are omitted."""
    found = [
        (setting, name, {title: setting.measured(TABLE, name, *place) for title, place in COLUMNS.items()})
        for setting in settings
        for name in MODELS
    ]
    found = [each for each in found if any(number is not None for number in each[2].values())]
    titles = [title for title in COLUMNS if any(row[title] is not None for _, _, row in found)]
    rows = [["setting", "seeds", "model of the latents", *titles], ["---"] * (3 + len(titles))]
    for setting, name, row in found:
        cells = [_cell(setting, name, title, row[title]) for title in titles]
        rows.append([setting.name, str(len(setting.runs)), MODELS[name], *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(setting: Setting, name: str, title: str, found: Measured | None) -> str:
    """A number with its error; of the p of several seeds the largest, for a mean of them says nothing."""
    if found is None:
        return "—"
    if title not in P_VALUES:
        return str(found)
    each = (Setting(setting.name, (run,)).measured(TABLE, name, *COLUMNS[title]) for run in setting.runs)
    return f"{max(one.mean for one in each):.2g}"


def ratios_figure(settings: Sequence[Setting]) -> Figure:
    """The loss of each run's model over that of the best linear denoiser, against log SNR, one line a run."""
    size = (7.4, max(4.1, 1.2 + 0.17 * len(settings)))
    drawn, axes = style.panel(title="Denoising", xlabel="log SNR", ylabel="loss / best linear denoiser", size=size)
    for number, setting in enumerate(settings):
        colour, dashes = style.line_look(number)
        for i, run in enumerate(setting.runs):
            by_time, rows = run.evaluate.get("by_time"), run.evaluate.get(TABLE)
            try:
                row = rows[run.evaluate["main"]]["eps"]["by_time"]
                x, y = (np.array(values, np.float64) for values in (by_time["logsnr"], row["over_linear"]))
            except (KeyError, TypeError, ValueError):
                continue
            look = dict(color=colour, linestyle=dashes, linewidth=1.2)
            axes.plot(x, y, **look, label="_" * bool(i) + setting.name)
    axes.axhline(1, color=style.GREY, linewidth=1, linestyle="--")
    values = np.concatenate([np.zeros(0), *(line.get_ydata() for line in axes.lines[:-1])])
    values = values[np.isfinite(values)]
    if not values.size:
        style.say_empty(axes)
        return drawn
    axes.set_ylim(0, min(max(1.1, 1.1 * float(values.max())), 10.0))
    drawn.legend(loc="outside right upper", frameon=False, fontsize=8, labelcolor=style.INK)
    return drawn
