"""The tables and figures of a sweep of VAE-VDMs, from the files of its workdirs alone."""

import datetime
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.base.files import write_file, write_json, write_text
from vdm_jax.base.provenance import commit
from vdm_jax.report.compare.code_worth import worth_figure, worth_table, worths
from vdm_jax.report.compare.study import Measured, Setting, read_settings, table_of
from vdm_jax.report.primitives.plane import rate_distortion_plane
from vdm_jax.report.primitives.style import to_png
from vdm_jax.report.primitives.workdir import leaves

ERRORS = {
    "seeds": "± one standard error over seeds",
    "images": "(± one standard error over test images) of a single seed",
}
NO_RATE = Measured(0.0, math.nan, "images")  # the rate of a model without a code
ORIGINS = {"commit": ("commit",), "device": ("device",), "jax": ("versions", "jax")}


def with_figure(folder: Path, text: str, drawn: Figure, title: str) -> str:
    """Writes sweep.png, and sweep.md with `text` and the figure. Returns `text`."""
    write_file(folder / "sweep.png", lambda file: file.write(to_png(drawn)))
    write_text(folder / "sweep.md", f"{text}\n![{title}](sweep.png)\n")
    return text


def write_sweep(folder: str | Path, runs: Mapping[str, Path], missing: Mapping[str, str]) -> str:
    """Writes sweep.md, sweep.json and sweep.png into `folder`. Returns the text of sweep.md.

    If there are runs without a code, it also compares runs with the same data and U-Net with them (sweep_code.png).

    Args:
        runs: name -> workdir of each evaluated member.
        missing: name -> reason, of each member without numbers.
    """
    folder, settings = Path(folder), read_settings(runs.values())
    found = worths(settings)
    tables = [table_of(settings), *([worth_table(found)] if found else [])]
    text = markdown(settings, tables, "Lower is better for D + R and Fréchet distances", missing) + unfinished(settings)
    write_json(folder / "sweep.json", numbers(settings, runs, missing))
    write_file(folder / "sweep.png", lambda file: file.write(to_png(figure(settings))))
    pictures = "![rate and distortion](sweep.png)\n"
    if not found:
        (folder / "sweep_code.png").unlink(missing_ok=True)
    else:
        write_file(folder / "sweep_code.png", lambda file: file.write(to_png(worth_figure(found))))
        pictures += "![what a code is worth](sweep_code.png)\n"
    write_text(folder / "sweep.md", f"{text}\n{pictures}")
    return text


def markdown(settings: Sequence[Setting], tables: Sequence[str], better: str, missing: Mapping[str, str]) -> str:
    """The tables, the kind of their errors, `better`, the provenance of the numbers, and the missing members."""
    lines = [line for table in tables for line in (table, "")] if settings else ["No member is evaluated yet.", ""]
    if settings:
        sizes = {len(setting.runs) > 1 for setting in settings}
        errors = [ERRORS["seeds"]] * (True in sizes) + [ERRORS["images"]] * (False in sizes)
        origins = [leaves(run.evaluate.get("provenance")) for setting in settings for run in setting.runs]
        where = (
            f"{name} {', '.join(sorted({str(origin.get(place, 'not recorded')) for origin in origins}))}"
            for name, place in ORIGINS.items()
        )
        lines += [f"{'; '.join(errors)}. {better}. {'; '.join(where)}.", ""]
    for reason in dict.fromkeys(missing.values()):
        lines += [f"Missing, {reason}: {' '.join(name for name in missing if missing[name] == reason)}", ""]
    return "\n".join(lines)


def unfinished(settings: Sequence[Setting]) -> str:
    """A paragraph that names the settings with a run whose last validation is its best; "" where there are none."""
    found = []
    for setting in settings:
        series = [run.series("validation", "score") for run in setting.runs]
        last = [int(steps[-1]) for steps, scores in series if len(scores) and scores[-1] <= scores.min()]
        if last:
            found.append(f"{setting.name} ({max(last):,} updates)")
    why = "Not shown to have converged, as the last validation is the best one"
    return f"\n{why}: {', '.join(found)}.\n" if found else ""


def numbers(settings: Sequence[Setting], runs: Mapping[str, Path], missing: Mapping[str, str]) -> dict[str, Any]:
    """Means with standard errors by setting, and the evaluate.json of every run."""
    names = {Path(path): name for name, path in runs.items()}
    found_by_name = {}
    for setting in settings:
        found_by_name[setting.name] = {
            "runs": [names[run.path] for run in setting.runs],
            "seeds": setting.seeds,
            "numbers": {
                ".".join(place): {"mean": finite(found.mean), "standard_error": finite(found.error), "over": found.over}
                for place, found in setting.numbers().items()
            },
        }
    evaluations = {names[run.path]: run.evaluate for setting in settings for run in setting.runs}
    origin = {"commit": commit(), "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    return {"settings": found_by_name, "runs": evaluations, "missing": dict(missing), "provenance": origin}


def figure(settings: Sequence[Setting]):
    """Settings in the plane of rate and distortion. A model without a code has the rate 0."""
    points = []
    for setting in settings:
        rate = NO_RATE if setting.runs[0].is_unconditional else setting.measured("encoder_kl_nats")
        distortion = setting.measured("distortion_nats")
        if rate is not None and distortion is not None:
            points.append((setting.name, rate, distortion))
    numbers = np.array([(r.mean, d.mean, r.error, d.error) for _, r, d in points], np.float64).reshape(-1, 4)
    kinds = {distortion.over for _, _, distortion in points}
    over = " or ".join(text for kind, text in {"seeds": "seeds", "images": "test images"}.items() if kind in kinds)
    names = [name for name, *_ in points]
    return rate_distortion_plane(names, *numbers.T, errors=f"± one standard error\nover {over}")


def finite(value: float) -> float | None:
    """The value, or None if it is not finite: JSON cannot represent it."""
    return value if math.isfinite(value) else None
