"""The table of a sweep of restorations: their loss, and coverage and distances of what they generate."""

from collections.abc import Mapping
from pathlib import Path

from vdm_jax.base.files import write_file, write_json, write_text
from vdm_jax.report.compare.ddpm_sweep import losses_figure
from vdm_jax.report.compare.study import read_settings, table_of
from vdm_jax.report.compare.sweep import markdown, numbers
from vdm_jax.report.primitives import style

BETTER = (
    "Losses of different degradations or noise are not comparable; lower is better for distances, higher for covered"
)


def write_degradation_sweep(folder: str | Path, runs: Mapping[str, Path], missing: Mapping[str, str]) -> str:
    """Writes sweep.md, sweep.json and sweep.png into `folder`. Returns the text of sweep.md.

    Args:
        runs: name -> workdir of each evaluated member.
        missing: name -> reason, of each member without numbers.
    """
    folder, settings = Path(folder), read_settings(runs.values())
    text = markdown(settings, [table_of(settings)], BETTER, missing)
    write_json(folder / "sweep.json", numbers(settings, runs, missing))
    write_file(folder / "sweep.png", lambda file: file.write(style.to_png(losses_figure(settings))))
    write_text(folder / "sweep.md", f"{text}\n![validation loss](sweep.png)\n")
    return text
