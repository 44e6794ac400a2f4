"""The table of a sweep of DDPMs (losses, distances, mode coverage) and the validation losses over training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.base.files import write_json
from vdm_jax.report.compare.study import Setting, read_settings, table_of
from vdm_jax.report.compare.sweep import markdown, numbers, with_figure
from vdm_jax.report.primitives import style

BETTER = "Losses of different schedules or weightings are no contest; lower is better for distances and KL"


def write_ddpm_sweep(folder: str | Path, runs: Mapping[str, Path], missing: Mapping[str, str]) -> str:
    """Writes sweep.md, sweep.json and sweep.png into `folder`. Returns the text of sweep.md.

    Args:
        runs: name -> workdir of each evaluated member.
        missing: name -> reason, of each member without numbers.
    """
    folder, settings = Path(folder), read_settings(runs.values())
    text = markdown(settings, [table_of(settings)], BETTER, missing)
    write_json(folder / "sweep.json", numbers(settings, runs, missing))
    return with_figure(folder, text, losses_figure(settings), "validation loss")


def losses_figure(settings: Sequence[Setting]) -> Figure:
    """Validation loss over training steps, one line for each run, one colour and line style for each setting."""
    size = (7.4, max(4.1, 1.2 + 0.17 * len(settings)))
    drawn, axes = style.panel(title="Validation loss", xlabel="step", ylabel="per pixel", size=size)
    for number, setting in enumerate(settings):
        colour, dashes = style.line_look(number)
        for i, run in enumerate(setting.runs):
            steps, losses = run.series("validation", "loss")
            look = dict(color=colour, linestyle=dashes, linewidth=1.2)
            axes.plot(steps, losses, **look, label="_" * bool(i) + setting.name)
    losses = np.concatenate([np.zeros(0), *(line.get_ydata() for line in axes.lines)])
    if not np.any(np.isfinite(losses) & (losses > 0)):
        style.say_empty(axes)
        return drawn
    axes.set_yscale("log")
    drawn.legend(loc="outside right upper", frameon=False, fontsize=8, labelcolor=style.INK)
    return drawn
